"""A city with areas, a source of boardings, and files of counts to send. All of it is synthetic."""

import hashlib
import io
from typing import Any

import httpx
import numpy as np
import polars as pl
import shapely

from actors.catalogue.state import object_of
from actors.population.grid import centres, polygons
from schemas.catalogue import RecordRefresh, Refresh
from tests.unit.api.conftest import bearer
from tests.unit.api.memory import MemoryBackend
from tests.unit.catalogue.entries import facts
from tests.unit.population.scenario import CELLS

OPERATOR, STAFF = bearer("operator"), bearer("staff")
A, B, C = CELLS
SOURCE = {
    "title_ko": "시내버스 승차",
    "title_en": "boardings of city buses",
    "provider": "춘천시",
    "measure": "boardings",
    "hours": [7, 8],
    "licence": "synthetic",
    "synthetic": True,
}
HEADER = "수집일자,노선아이디,정류장아이디,정류장명,이용시간대,승차건수"
DAY = "2026-01-05"
OPEN = {"staff_from": "2024-03-01", "citizens_from": "2024-07-01"}
SHAPES = polygons(pl.Series(CELLS))
AREAS = {
    "4211000001": ("춘천시 서면", shapely.union(SHAPES[0], SHAPES[1])),
    "4211000002": ("춘천시 동면", SHAPES[2]),
}


def stops() -> bytes:
    """Places with coordinates: one in the middle of each cell, `out` outside the city; `lost` is not among them."""
    lon, lat = centres(pl.Series(CELLS))
    rows = [f"{cell},정류장,{x},{y}" for cell, x, y in zip(CELLS, lon, lat, strict=True)]
    return "\n".join(["정류장 번호,정류장명,경도,위도", *rows, "out,가평,127.5,37.7"]).encode("cp949")


def boardings(*rows: tuple[str, int, float], day: str = DAY) -> bytes:
    """A fare-card file of one route: `(stop, hour, count)`."""
    return "\n".join([HEADER, *(f"{day},r1,{stop},정류장,{hour},{count:g}" for stop, hour, count in rows)]).encode()


FILE = boardings((A, 7, 40), (A, 8, 60), (B, 7, 3), (B, 8, 20), (C, 8, 2), ("out", 7, 9), ("lost", 7, 7))


async def register(client: httpx.AsyncClient, source: str = "fare-card", **more: Any) -> None:
    answer = await client.put(f"/v1/population/sources/{source}", json=SOURCE | more, headers=OPERATOR)
    assert answer.status_code == 200, answer.text


async def send(
    client: httpx.AsyncClient, file: bytes = FILE, source: str = "fare-card", headers: Any = OPERATOR, **query: str
) -> httpx.Response:
    parts = {"file": ("counts.csv", file, "text/csv"), "places": ("stops.csv", stops(), "text/csv")}
    return await client.post(f"/v1/population/sources/{source}/days", files=parts, params=query, headers=headers)


async def publish(
    backend: MemoryBackend, client: httpx.AsyncClient, dataset: str, rows: pl.DataFrame, **more: Any
) -> None:
    """A dataset whose newest rows are these, as a refresh leaves them."""
    said = facts(**{"columns": columns_of(rows)} | OPEN | more).model_dump(mode="json")
    answer = await client.put(f"/v1/datasets/{dataset}", json=said, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    sink = io.BytesIO()
    rows.write_parquet(sink)
    refresh = Refresh(
        version=hashlib.sha256(sink.getvalue()).hexdigest(),
        token="0" * 8,
        rows=rows.height,
        received=rows.height,
        dropped=0,
        bytes=len(sink.getvalue()),
        header=tuple(rows.columns),
        schema_digest="a" * 64,
        completeness=1,
        source="a test",
        took_s=0,
    )
    await backend.put_object(object_of(dataset, refresh), sink.getvalue())
    await backend.submit([RecordRefresh(at=backend.now(), by="kim", dataset=dataset, refresh=refresh)], None, None)


def columns_of(rows: pl.DataFrame) -> list[dict[str, str]]:
    return [{"id": name, "ko": name, "en": name} for name in rows.columns if name[0] != "_"]


def area_rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "code": list(AREAS),
            "name": [name for name, _ in AREAS.values()],
            "_wkt": shapely.to_wkt(np.array([shape for _, shape in AREAS.values()]), rounding_precision=-1),
        }
    )


def point_rows(**places: tuple[float, float]) -> pl.DataFrame:
    """Rows of a dataset of points, one of them without a place."""
    names = [*places, "nowhere"]
    lon, lat = ([one[axis] for one in places.values()] + [None] for axis in (0, 1))
    return pl.DataFrame({"name": names, "_lon": lon, "_lat": lat, "_row": list(range(1, len(names) + 1))})


def middle(cell: str) -> tuple[float, float]:
    lon, lat = centres(pl.Series([cell]))
    return float(lon[0]), float(lat[0])
