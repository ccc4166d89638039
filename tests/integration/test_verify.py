"""`bomnae verify`, `status`, `backup` and `restore` on a real log: beside the owners, and on a city at rest."""

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from schemas.facility import FacilityFacts, RegisterFacility, RegisterSensor
from schemas.road import StartWork
from schemas.settings import Settings
from serve import positions
from serve.backend import Piece
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.instance import connected
from serve.commands.verify import verify
from streams import codec
from streams.connection import Connection
from streams.log import SHARD_ENTITY, Commit, Record
from streams.subjects import READINGS, log_stream, log_subject, partition, raw
from tests.integration.hosted import SHARDS, running, settings_for
from tests.unit.facility.scenario import HIGH, arrow, facts
from tests.unit.road.scenario import permit, road

NOW = datetime(2026, 1, 15, 9, tzinfo=UTC)
ENTITIES = [f"bridge-{number}" for number in range(8)]


async def bomnae(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command, in a process of its own."""
    environment = {**os.environ, "BOMNAE_DATA": str(settings.data), "BOMNAE_HTTP_PORT": str(settings.http_port)}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("bomnae"),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def register(settings: Settings) -> None:
    bridge = FacilityFacts(name_ko="시험교", name_en="Test Bridge", kind="bridge", synthetic=True)
    commands = [RegisterFacility(at=NOW, by="test", facility=one, facts=bridge) for one in ENTITIES]
    async with Api(settings, "test") as api:
        _, events = await api.send(calls(commands))
    assert events == len(ENTITIES)


async def live(settings: Settings) -> None:
    """A sensor's readings raise an alarm, and a road is dug up: input that was folded, and what follows from it."""
    sensor = RegisterSensor(at=NOW, by="test", facility=ENTITIES[0], sensor="tilt-1", facts=facts(HIGH, recorded=True))
    started = StartWork(at=NOW, by="test", road="jungang-ro", work="gas-1")
    readings = arrow([("tilt-1", float(n), 10.0 * n, n, 1, 0) for n in range(8)])
    async with Api(settings, "test") as api, connected(settings, "gateway") as connection:
        position, _ = await api.send(calls([sensor, road(), permit(), started]))
        await api.get("/v1/roads/jungang-ro", min_position=position)
        subject = raw("facility", ENTITIES[0], READINGS)
        sequence = await connection.observe(subject, {codec.CONTENT_TYPE: codec.ARROW}, readings)
        piece = Piece("facility", partition(ENTITIES[0], SHARDS["facility"]), sequence, True)
        await api.get(f"/v1/facilities/{ENTITIES[0]}", min_position=positions.encode((piece,)))


async def read(settings: Settings) -> dict[str, Any]:
    """What the city says of it."""
    async with Api(settings, "test") as api:
        paths = (f"/v1/facilities/{ENTITIES[0]}", "/v1/alarms", "/v1/works", "/v1/roads/jungang-ro")
        return {path: await api.get(path) for path in paths}


async def forge(connection: Connection) -> int:
    """Append a commit that tells another state than the log leads to, as a broken program would."""
    number = partition(ENTITIES[0], SHARDS["facility"])
    store = connection.store("facility", number)
    newest = await store.last_sequence()
    (last,) = [record async for record in store.read(newest - 1)]
    commit = Commit.from_json(last.data)
    forged = replace(
        commit, number=commit.number + 1, start=commit.end, clock=0, events=0, commands=[], digest="0" * 32
    )
    subject = log_subject("facility", number, SHARD_ENTITY, "committed")
    record = Record(subject, "city.log.committed.v1", forged.to_json(), "forged", "forged", last.time)
    return await store.append([record], newest)


async def test_verify_holds_beside_the_owners_and_on_a_city_at_rest(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await register(settings)
        beside = await bomnae(settings, "verify", "--json")
        assert beside[0] == 0, beside
    at_rest = await bomnae(settings, "verify", "--json")
    assert at_rest[0] == 0, at_rest

    shards = orjson.loads(at_rest[1])["shards"]
    assert [one["log"] for one in shards] == [
        log_stream(name, n) for name, count in SHARDS.items() for n in range(count)
    ]
    assert sum(one["sequence"] for one in shards) > len(ENTITIES)
    assert {one["log"]: one["digest"] for one in orjson.loads(beside[1])["shards"]} == {
        one["log"]: one["digest"] for one in shards
    }


async def test_verify_fails_with_a_sentence_where_the_log_tells_another_state(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await register(settings)
    async with connected(settings, "forger", start=True) as connection:
        sequence = await forge(connection)
    code, _, err = await bomnae(settings, "verify")
    assert code == 1
    assert f"at sequence {sequence}: replay gives another digest than the log holds" in err
    assert "Traceback" not in err


async def test_a_backup_restored_into_another_folder_verifies_to_the_same_digests_and_says_the_same(
    tmp_path: Path,
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await register(settings)
        await live(settings)
        said = await read(settings)
        saved = await bomnae(settings, "backup", str(tmp_path / "backup"))
        assert saved[0] == 0, saved
    before = await bomnae(settings, "verify", "--json")
    assert [alarm["level"] for alarm in said["/v1/alarms"]["items"]] == ["warning"]
    assert [work["state"] for work in said["/v1/works"]["items"]] == ["started"]

    restored = settings.model_copy(update={"data": tmp_path / "restored", "http_port": 0})
    brought = await bomnae(restored, "restore", str(tmp_path / "backup"))
    assert brought[0] == 0, brought
    after = await bomnae(restored, "verify", "--json")
    assert after[0] == 0, after
    # The city at rest has one more snapshot than its backup: the owners saved it when they left.
    kept = ("log", "sequence", "commits", "digest")
    told = [[[one[name] for name in kept] for one in orjson.loads(out)["shards"]] for _, out, _ in (before, after)]
    assert told[0] == told[1]
    async with running(restored) as reached:
        assert await read(reached) == said

    again = await bomnae(restored, "restore", str(tmp_path / "backup"))
    assert again[0] == 2
    assert "already" in again[2]


async def test_status_is_0_while_the_city_serves_and_3_when_it_is_down(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await register(settings)
        code, out, _ = await bomnae(settings, "status", "--json")
        found = orjson.loads(out)
        assert (code, found["ready"], found["api"]["status"]) == (0, True, "ready")
        assert {one["shard"] for one in found["shards"]} == {
            f"{name} {n}" for name, of in SHARDS.items() for n in range(of)
        }
        assert {"LOG_ROAD_1", "FEED", "INGEST_FACILITY"} < {one["name"] for one in found["streams"]}
    code, out, _ = await bomnae(settings, "status")
    assert code == 3
    assert "down" in out


async def test_verify_of_a_running_city_starts_no_second_server(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await register(settings)
        pid = (settings.data / "nats" / "nats.pid").read_text()
        await verify(settings, json=True)
        assert (settings.data / "nats" / "nats.pid").read_text() == pid
