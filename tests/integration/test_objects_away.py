"""A store of objects that is away is told as such over HTTP, and what was not stored is not said to be."""

from pathlib import Path

from serve.commands.client import Api
from tests.integration.hosted import running, settings_for
from tests.unit.catalogue.entries import facts


async def test_rows_are_refused_while_objects_cannot_be_stored_or_read_and_come_in_afterwards(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        http = api._session

        async def bring(name: str) -> tuple[int, str]:
            data = f"name\n{name}\n".encode()
            async with http.post("/v1/datasets/stops/rows", params={"format": "csv"}, data=data) as answer:
                return answer.status, (await answer.json()).get("position", "")

        async with http.put("/v1/datasets/stops", json=facts().model_dump(mode="json")) as answer:
            after = (await answer.json())["position"]
        async with http.get("/v1/datasets/stops", params={"min_position": after}) as answer:
            assert answer.status == 200
        home = settings.data / "objects"
        away = home.rename(tmp_path / "away") if home.exists() else None
        home.write_text("a file where a folder should be")
        assert (await bring("춘천역"))[0] == 503
        home.unlink()
        if away is not None:
            away.rename(home)
        status, position = await bring("춘천역")
        assert status == 201
        (newest,) = (home / "datasets/stops").glob("*.parquet")
        kept = newest.read_bytes()
        newest.unlink()
        newest.mkdir()
        async with http.get("/v1/datasets/stops/rows", params={"min_position": position}) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        newest.rmdir()
        newest.write_bytes(kept)
        async with http.get("/v1/datasets/stops/rows", params={"min_position": position}) as answer:
            assert answer.status == 200
