"""Datasets that the city itself keeps, over HTTP."""

import pytest

from schemas.dataset import Chart, FromCity
from schemas.packs.load import load_pack
from tests.unit.api.conftest import OPERATOR, bearer
from tests.unit.api.datasets import asked_now, bring, declare, refused, rows, told
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import OPEN

pytestmark = pytest.mark.usefixtures("read_here")
ROAD = FromCity(table="road.segments")


async def test_the_citys_own_tables_are_datasets(city, backend):
    columns = tuple(
        facts().columns[0].model_copy(update={"id": name, "kind": kind})
        for name, kind in (("segment", "text"), ("road", "text"), ("line", "text"), ("length_m", "number"))
    )
    geometry = {"shape": "wkt", "column": "line"}
    chart = Chart(mark="bar", x="road", y="length_m", aggregate="sum").model_dump()
    body = facts(columns=columns, connector=ROAD, **OPEN).model_dump(mode="json")
    await declare(city, "segments", body | {"geometry": geometry, "chart": chart})
    found = await rows(city, "sort=segment", "segments")
    assert [one["segment"] for one in found["rows"]] == ["alley-1", "jungang-1", "jungang-2"]
    assert (found["version"], found["status"], found["lineage"]["table"]) == (None, "fresh", "road.segments")
    placed = [one for one in (await told(city, "/v1/datasets/segments/map"))["features"] if one["geometry"]]
    assert placed[0]["geometry"]["coordinates"] == [[127.73, 37.88], [127.74, 37.88]]
    assert (await rows(city, "bbox=127.735,37,128,38", "segments"))["total"] == 1
    bars = (await told(city, "/v1/datasets/segments/chart"))["data"]["values"]
    assert {one["x"]: one["y"] for one in bars} == {"jungang": 120.5, "alley": None}
    assert (await bring(city, "segments")).status_code == 409
    assert (await asked_now(city, "segments"))[0] == 409


async def test_the_citys_own_tables_are_those_of_a_moment(city, backend):
    columns = (facts().columns[0].model_copy(update={"id": "road"}),)
    await declare(city, "roads", facts(columns=columns, connector=FromCity(table="road.roads"), **OPEN))
    moment = backend.now().isoformat().replace("+00:00", "Z")
    body = {"name_ko": "새길", "name_en": "New road", "rank": "107", "segments": [{"segment": "new-1"}]}
    assert (await city.put("/v1/roads/new", json=body, headers=bearer("road"))).status_code == 200
    assert (await rows(city, "", "roads"))["total"] == 3
    assert (await rows(city, f"as_of={moment}", "roads"))["total"] == 2


async def test_a_column_of_another_kind_than_the_citys_is_told(city):
    columns = (facts().columns[0].model_copy(update={"id": "road", "kind": "integer"}),)
    await declare(city, "odd", facts(columns=columns, connector=FromCity(table="road.roads"), **OPEN))
    assert "other kinds than declared" in (await refused(city, "/v1/datasets/odd/rows"))["detail"]
    await declare(city, "none", facts(connector=FromCity(table="road.nothing"), **OPEN))
    assert "keeps no table" in (await refused(city, "/v1/datasets/none/rows"))["detail"]


LIVE = {
    name: one
    for name, one in load_pack("chuncheon").datasets.items()
    if one.connector is not None and one.connector.by == "city"
}


@pytest.mark.parametrize("dataset", LIVE)
async def test_every_live_dataset_of_the_pack_answers_with_and_without_data(city, client, dataset):
    one = LIVE[dataset]
    await declare(client, dataset, one)
    found = await rows(client, "", dataset, OPERATOR)
    assert found["status"] == "fresh"
    paths = ["rows?format=csv", "rows?format=parquet", "rows?format=arrow"]
    paths += ["chart"] if one.chart is not None else []
    paths += ["map", "map?format=svg", "tiles/10/875/395"] if one.geometry is not None else []
    for path in paths:
        answer = await client.get(f"/v1/datasets/{dataset}/{path}", headers=OPERATOR)
        assert answer.status_code == 200, (path, answer.text)
