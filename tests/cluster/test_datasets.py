"""Datasets, population and siting through a real nats-server, Ray and Serve: brought in, read, heard of, asked over."""

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import nats
import pytest

from schemas.dataset import FromDatabase, FromNats
from streams import credentials
from tests.cluster.running import Running
from tests.unit.catalogue.entries import LAT, LON, NAME, facts

pytestmark = pytest.mark.cluster

OPEN = {"staff_from": "2024-03-01", "citizens_from": "2024-07-01"}
STOPS = facts(
    columns=[NAME, LON, LAT], geometry={"shape": "point", "x": "lon", "y": "lat"}, map={"label": "name"}, **OPEN
)
CSV = "name,lon,lat\n시청,127.73,37.88\n명동,127.727,37.88\n가평,127.40,37.88\n"


async def test_a_dataset_that_is_brought_in_is_read_by_citizens_and_heard_of_by_apps(city: Running) -> None:
    operator = city.token("operator")
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}")
    heard = await nc.subscribe("city.pub.catalogue.cluster-stops.>")
    await nc.flush()
    declared = city.api.put("/v1/datasets/cluster-stops", json=STOPS.model_dump(mode="json"), headers=operator)
    assert declared.status_code == 200, declared.text
    after = {"min_position": declared.json()["position"]}
    sent = {**operator, "content-type": "text/csv"}
    brought = city.api.post("/v1/datasets/cluster-stops/rows", content=CSV.encode("cp949"), params=after, headers=sent)
    assert brought.status_code == 201, brought.text
    position = brought.json()["position"]
    rows = city.get("/v1/datasets/cluster-stops/rows", min_position=position, where="name=시청")
    assert [row["name"] for row in rows["rows"]] == ["시청"]
    told = city.get("/v1/datasets/cluster-stops")
    assert [(one["kind"], one["column"], one["rows"]) for one in told["findings"]] == [("outside", "lon", 1)]
    assert "cluster-stops" in json.dumps(city.get("/v1/catalogue.jsonld"))
    names = []
    async with asyncio.timeout(10):
        while "dataset-refreshed" not in names:
            names.append((await heard.next_msg(10)).subject.split(".")[-1])
    await nc.close()


async def test_the_packs_datasets_are_there_and_those_of_the_city_itself_have_rows(city: Running) -> None:
    listed: list[dict[str, Any]] = city.get("/v1/catalogue", limit=200)["items"]
    assert {"bus-stops", "facilities", "road-works"} <= {one["dataset"] for one in listed}
    assert city.get("/v1/datasets/facilities/rows", limit=3)["total"] >= 51


def test_sites_are_chosen_among_the_rows_of_a_dataset(city: Running) -> None:
    asked = {
        "kind": "shelter",
        "models": ["p-median"],
        "number": 1,
        "demand": [{"lon": 127.7299, "lat": 37.88, "weight": 3}, {"lon": 127.7271, "lat": 37.88, "weight": 1}],
        "candidates": {"dataset": "cluster-stops"},
    }
    answer = city.api.post("/v1/siting", json=asked, headers=city.token("staff"), timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["about"]["models"][0]["chosen"] == ["시청"]


def test_a_database_is_asked_by_the_actor_of_datasets_again_and_again(city: Running) -> None:
    with closing(sqlite3.connect(city.folder.with_suffix(".sqlite"))) as database, database:
        database.execute("CREATE TABLE stops (name TEXT, lon REAL, lat REAL)")
        database.execute("INSERT INTO stops VALUES ('시청', 127.73, 37.88)")
    asked = FromDatabase(uri_env="BOMNAE_KEY_TEST", query="SELECT name, lon, lat FROM stops")
    declared = STOPS.model_copy(update={"connector": asked, "interval_s": 1}).model_dump(mode="json")
    answer = city.api.put("/v1/datasets/asked-stops", json=declared, headers=city.token("operator"))
    assert answer.status_code == 200, answer.text
    city.get("/v1/datasets/asked-stops", min_position=answer.json()["position"])

    def rows() -> int:
        return len(city.get("/v1/datasets/asked-stops/rows")["rows"])

    city.until(lambda: rows() == 1, 60)
    with closing(sqlite3.connect(city.folder.with_suffix(".sqlite"))) as database, database:
        database.execute("INSERT INTO stops VALUES ('명동', 127.727, 37.88)")
    city.until(lambda: rows() == 2, 60)


async def test_what_a_provider_publishes_on_nats_are_rows_a_moment_later(city: Running) -> None:
    declared = STOPS.model_copy(update={"connector": FromNats(format="json", path="."), "mode": "upsert"})
    told = declared.model_dump(mode="json") | {"key": ["name"]}
    answer = city.api.put("/v1/datasets/sent-stops", json=told, headers=city.token("operator"))
    assert answer.status_code == 200, answer.text
    provider = await asyncio.to_thread(credentials.add, city.folder, "provider", "bus-desk", ("sent-stops",))
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **provider.options())
    for name, lon in (("시청", 127.73), ("명동", 127.727), ("시청", 127.731)):
        row = json.dumps({"name": name, "lon": lon, "lat": 37.88}).encode()
        await nc.request("city.raw.catalogue.sent-stops.rows", row, timeout=5)
    await nc.close()
    city.get("/v1/datasets/sent-stops", min_position=answer.json()["position"])

    def rows() -> dict[str, float]:
        return {row["name"]: row["lon"] for row in city.get("/v1/datasets/sent-stops/rows")["rows"]}

    await asyncio.to_thread(city.until, lambda: rows() == {"시청": 127.731, "명동": 127.727}, 60)
    refused = city.api.post("/v1/datasets/sent-stops/refresh", headers=city.token("operator"))
    assert refused.status_code == 409
