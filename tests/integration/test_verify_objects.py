"""`bomnae verify` of a city with datasets and counts: what is missing, damaged or nobody's is told, and what to do."""

import os
import time
from pathlib import Path
from typing import Any

import orjson

from actors.host import CONTEXTS
from actors.orphans import sweep
from schemas.settings import Settings
from serve.commands.calls import Call
from serve.commands.client import Api
from serve.commands.instance import connected
from serve.commands.population import load
from tests.integration.hosted import running, settings_for
from tests.integration.test_verify import bomnae
from tests.unit.api.populated import SOURCE, A, boardings, stops
from tests.unit.catalogue.entries import facts


async def fill(settings: Settings, folder: Path) -> None:
    """A dataset with two versions, and a day of counts."""
    async with Api(settings, "test") as api:
        said = await api.ask(Call("PUT", "/v1/datasets/bus-stops", facts().model_dump(mode="json")))
        for text in ("name\n춘천역\n", "name\n남춘천역\n"):
            query = {"format": "csv", "min_position": said["position"]}
            async with api._session.post("/v1/datasets/bus-stops/rows", params=query, data=text.encode()) as answer:
                assert answer.status < 400, await answer.text()
        position = (await api.ask(Call("PUT", "/v1/population/sources/fare-card", SOURCE)))["position"]
        await api.get("/v1/population/sources", min_position=position)
    (folder / "counts.csv").write_bytes(boardings((A, 7, 40), (A, 8, 60)))
    (folder / "stops.csv").write_bytes(stops())
    await load(settings, folder / "counts.csv", "fare-card", folder / "stops.csv", {}, json=True)


def objects(settings: Settings, folder: str) -> list[Path]:
    """The files of a folder of objects, oldest first."""
    found = (settings.data / "objects" / folder).rglob("*.*")
    return sorted((path for path in found if path.is_file()), key=lambda path: path.stat().st_mtime_ns)


async def told(settings: Settings) -> tuple[int, dict[str, Any], str]:
    code, out, err = await bomnae(settings, "verify", "--json")
    assert out, err
    return code, orjson.loads(out), err


def findings(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for shard in said["shards"] for finding in shard["findings"]]


async def test_objects_that_are_there_are_counted_and_those_that_are_not_are_told(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await fill(settings, tmp_path)
        code, said, _ = await told(settings)
        assert (code, findings(said), said["orphans"]) == (0, [], {})
        counted = {one["log"]: one["objects"] for one in said["shards"] if one["objects"]}
        assert counted == {"LOG_CATALOGUE_0": 2, "LOG_POPULATION_0": 1}

        older, newest = objects(settings, "datasets")
        (block,) = objects(settings, "population")
        older.unlink()
        newest.write_bytes(newest.read_bytes()[:-1])
        kept = block.read_bytes()
        block.write_bytes(b"")
        code, said, err = await told(settings)
        assert (code, "3 objects are not as the logs say" in err, "Traceback" in err) == (1, True, False)
        root = settings.data / "objects"
        assert [
            (one["context"], one["shard"], one["entity"], one["object"], one["what"]) for one in findings(said)
        ] == [
            ("population", 0, "fare-card", str(block.relative_to(root)), "damaged"),
            ("catalogue", 0, "bus-stops", str(older.relative_to(root)), "missing"),
            ("catalogue", 0, "bus-stops", str(newest.relative_to(root)), "damaged"),
        ]
        code, out, _ = await bomnae(settings, "verify")
        assert code == 1
        assert f"! population 0, fare-card: {block.relative_to(root)} is damaged; send the file of 2026-01-05" in out

        # As is said of it: the same file stores the block again.
        await load(settings, tmp_path / "counts.csv", "fare-card", tmp_path / "stops.csv", {}, json=True)
        assert block.read_bytes() == kept
        _, said, _ = await told(settings)
        assert {one["entity"] for one in findings(said)} == {"bus-stops"}


async def test_what_nobody_names_is_counted_once_it_is_old_and_swept_beside_the_owners(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await fill(settings, tmp_path)
        held = objects(settings, "datasets")
        mine = [held[0].with_name("a.parquet"), objects(settings, "population")[0].with_name("b.arrow")]
        for path in mine:
            path.write_bytes(b"x")
        assert (await told(settings))[1]["orphans"] == {}
        long_ago = time.time() - 7_200
        for path in (*mine, *held):
            os.utime(path, (long_ago, long_ago))
        code, said, _ = await told(settings)
        assert (code, said["orphans"]) == (0, {"datasets": 1, "population": 1})
        assert "1 objects of datasets/ are named by nobody" in (await bomnae(settings, "verify"))[1]

        async with connected(settings, "test") as connection:
            shards = [(name, 0) for name in CONTEXTS if name in ("catalogue", "population")]
            name = f"datasets/bus-stops/{mine[0].name}"
            assert await sweep(connection, shards, time.time_ns() // 1_000) == [name]
        assert (await told(settings))[1]["orphans"] == {"population": 1}
        assert sorted(objects(settings, "datasets")) == sorted(held)
