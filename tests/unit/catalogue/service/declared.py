"""Datasets to try the service with, and rows for them. All of it is made up."""

import io
from datetime import date
from typing import Any

import polars as pl

from schemas.dataset import Chart, Column, Dataset, Layout, Map, Points, Range, Shapes
from serve.catalogue.taking import Job, Taken, take
from tests.unit.api.memory import START
from tests.unit.catalogue.entries import LAT, LON, NAME, facts

CSV = Layout(format="csv")
STOP = Column(id="stop", ko="정류장 번호", en="Stop", source="정류장 번호", required=True)
LAMPS = Column(id="lamps", ko="등 수", en="Lamps", kind="integer", unit="개")
WIDTH = Column(id="width", ko="폭", en="Width", kind="number", unit="m")
LIT = Column(id="lit", ko="점등", en="Lit", kind="boolean")
BUILT = Column(id="built", ko="설치일", en="Built", kind="date")
SEEN = Column(id="seen", ko="점검 시각", en="Checked", kind="time")
ALL = (STOP, NAME, LAMPS, WIDTH, LIT, BUILT, SEEN, LON, LAT)
OPEN = {"staff_from": date(2024, 3, 1), "citizens_from": date(2024, 7, 1)}
PHONE = Column(id="phone", ko="전화", en="Phone", personal="mask")
DONG = Column(id="dong", ko="동", en="Dong", personal="group")
AGE = Column(id="age", ko="나이대", en="Age group", kind="integer", personal="group")


def stops(**more: Any) -> Dataset:
    """Bus stops with a column of each kind, open to everybody."""
    said: dict[str, Any] = {
        "columns": ALL,
        "key": ("stop",),
        "geometry": Points(x="lon", y="lat"),
        "rules": (Range(column="lamps", low=0, high=9),),
        "chart": Chart(mark="bar", x="lamps"),
        "map": Map(label="name", colour="lamps"),
        **OPEN,
    }
    return facts(**said | more)


ROWS = """정류장 번호,name,lamps,width,lit,built,seen,lon,lat
A1,역전,2,1.5,예,2020-01-02,2026-01-15 09:00:00,127.70,37.87
A2,시청,0,2.5,아니오,2021-03-04,2026-01-15 10:00:00,127.73,37.88
A3,"중앙, 시장",12,,,,,127.74,37.89
A4,,x,0.5,예,2019-12-31,2026-01-14 09:00:00,,
"""
"""Of `stops`: A3 has more lamps than the rule allows, A4 no place and a count that is none."""

PEOPLE = facts(
    "회원",
    "Members",
    columns=(STOP, PHONE, DONG, AGE, LAMPS, LON, LAT),
    geometry=Points(x="lon", y="lat"),
    chart=Chart(mark="bar", x="phone"),
    map=Map(label="phone"),
    k=3,
    **OPEN,
)
"""Rows about people: a phone number that citizens never see, and groups of dong and age."""

AREAS = facts(
    "행정동",
    "Areas",
    columns=(
        Column(id="code", ko="코드", en="Code"),
        NAME,
        Column(id="shape", ko="경계", en="Border", source="geometry"),
    ),
    geometry=Shapes(column="shape"),
    map=Map(label="name"),
    inside=False,
    **OPEN,
)


def job(dataset: Dataset, *pages: str | bytes, layout: Layout = CSV, **more: Any) -> Job:
    data = [page.encode() if isinstance(page, str) else page for page in pages]
    return Job(dataset, layout, data, "a test", "mark", more.pop("now", START), **more)


def rows_of(taken: Taken) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(taken.rows))


async def here(given: Job) -> Taken:
    """In place of the process that reads what came: in this one."""
    return take(given)
