"""What the golden logs of datasets and of counted people tell: every command, every event, every kind of connector."""

from datetime import date
from typing import Any

from schemas import catalogue as c
from schemas import dataset as d
from schemas import population as n
from schemas.base import Command
from tests.golden.clock import Step, moment

STOPS, BUSES = "bus-stops", "city-buses"
A, B, C, FOUND, FILE = "5d" * 32, "77" * 32, "0a" * 32, "f0" * 32, "c5" * 32
_MIDNIGHT, _NEXT_MIDNIGHT = 21_600, 108_000
"""In Seoul."""


def catalogue() -> list[Step]:
    """Stops fail, come, change their columns, are late, open and close, and are followed by others."""
    stops = _stops(date(2026, 1, 17))
    first = _refresh(A, listing=FOUND, findings=_findings(), mark='"v1" 0f', data_time=moment(-60))
    second = _refresh(
        B, based_on=A, header=("정류장번호", "정류장명", "x", "y"), schema_digest="2" * 64, mark='"v2" 0f'
    )
    again = first.model_copy(update={"based_on": B, "token": "0fedcba987654321"})
    lamps, crossings, budget = _others()
    permits = d.FromDatabase(uri_env="BOMNAE_KEY_PERMITS", query="SELECT name FROM permits")
    return [
        _of(STOPS, 0, c.RegisterDataset, facts=stops),
        _of("lamps", 1, c.RegisterDataset, facts=lamps, seed=True),
        _of("crossings", 2, c.RegisterDataset, facts=crossings),
        _of("budget", 3, c.RegisterDataset, facts=budget),
        _of("permits", 4, c.RegisterDataset, facts=_facts(connector=permits)),
        _of("roads", 5, c.RegisterDataset, facts=_facts(connector=d.FromCity(table="road.segments"), interval_s=60)),
        _of(STOPS, 10, c.RecordFailure, reason="503 Service Unavailable"),
        _of(STOPS, 60.5, c.RecordRefresh, refresh=first),
        _of(STOPS, 120, c.RecordUnchanged),
        _of("budget", 130, c.RecordRefresh, refresh=_refresh(C, rows=0, dropped=42, completeness=0.0, uploaded=True)),
        _of(STOPS, 200, c.RecordRefresh, refresh=second),
        (6_000, None),
        _of(STOPS, 6_100, c.RecordRefresh, refresh=second.model_copy(update={"took_s": 2.0})),
        _of(STOPS, 6_200, c.RecordRefresh, refresh=again),
        (_MIDNIGHT, None),
        (_NEXT_MIDNIGHT, None),
        _of(STOPS, 108_010, c.RegisterDataset, facts=_stops(date(2026, 2, 1))),
        _of(STOPS, 108_020, c.ThinVersions, days=90),
        _of(STOPS, 108_025, c.ThinVersions, days=1),
        _of("lamps", 108_030, c.RetireDataset, reason="원천 종료 · the source ended"),
        _of(STOPS, 108_040, c.RetireDataset, reason="통합 · merged", superseded_by="crossings"),
    ]


def population() -> list[Step]:
    """Buses are counted, a day of them anew and one in part; residents are counted once."""
    facts = n.SourceFacts(
        title_ko="시내버스 승차",
        title_en="City bus boardings",
        provider="춘천시",
        measure="boardings",
        licence="synthetic",
    )
    residents = n.SourceFacts(
        title_ko="거주인구",
        title_en="Residents",
        provider="춘천시",
        measure="residents",
        suppress_below=10,
        hours=(0,),
        licence="synthetic",
        synthetic=True,
    )
    whole: dict[str, Any] = {"hours": tuple(range(24)), "whole": True, "input": FILE}
    flawed = {"outside": 3.0, "unplaced": 1.5, "repeated": 12.0, "places_outside": 2, "places_unplaced": 1}
    part: dict[str, Any] = {"hours": (5, 6, 7), "whole": False, "input": FILE}
    monday, tuesday = date(2026, 1, 12), date(2026, 1, 13)
    return [
        _by(BUSES, 0, n.RegisterSource, facts=facts),
        _by("residents", 1, n.RegisterSource, facts=residents),
        _by(BUSES, 2, n.RegisterSource, facts=facts.model_copy(update={"suppress_below": 3})),
        _by(BUSES, 10, n.RecordDay, facts=n.DayFacts(day=monday, block=A, rows=2, total=31.0, **whole)),
        _by(BUSES, 11, n.RecordDay, facts=n.DayFacts(day=tuesday, block=C, rows=1, total=4.5, **part)),
        _by(BUSES, 12, n.RecordDay, facts=n.DayFacts(day=monday, block=B, rows=3, total=33.0, **whole, **flawed)),
        _by("residents", 13, n.RecordDay, facts=_resident(monday)),
        _by(BUSES, 20, n.RetireSource, reason="계약 종료 · the contract ended"),
    ]


def _resident(day: date) -> n.DayFacts:
    return n.DayFacts(day=day, block=FOUND, rows=4, total=284.0, hours=(0,), whole=True, input=FILE)


def _stops(citizens_from: date) -> d.Dataset:
    return _facts(
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        keywords=("정류장", "stop"),
        interval_s=3_600,
        staff_from=date(2026, 1, 16),
        citizens_from=citizens_from,
        columns=(
            d.Column(id="number", ko="정류장번호", en="Number", source="정류장번호", required=True),
            d.Column(id="name", ko="정류장명", en="Name", source="정류장명"),
            d.Column(id="x", ko="경도", en="Longitude", kind="number", unit="°"),
            d.Column(id="y", ko="위도", en="Latitude", kind="number", unit="°"),
            d.Column(id="told", ko="기준일", en="Day", kind="date"),
            d.Column(id="keeper", ko="관리자", en="Keeper", personal="mask"),
            d.Column(id="age", ko="연령", en="Age", kind="integer", personal="group"),
        ),
        key=("number",),
        newest="told",
        mode="upsert",
        rules=(
            d.Range(column="x", low=127.4, high=128.2),
            d.OneOf(column="name", values=("춘천역", "남춘천역")),
            d.Pattern(column="number", pattern="[0-9]{4}"),
        ),
        geometry=d.Points(x="x", y="y", crs="EPSG:5186"),
        inside=False,
        k=7,
        connector=d.FromHttp(
            format="json",
            path="response.body.items",
            url="https://stops.example/list",
            parameters={"type": "json"},
            key_env="BOMNAE_KEY_STOPS",
            paging=d.Paging(rows=500, most=9),
        ),
        chart=d.Chart(mark="bar", x="name", y="age", aggregate="mean", colour="keeper"),
        map=d.Map(label="name", colour="age"),
    )


def _others() -> tuple[d.Dataset, d.Dataset, d.Dataset]:
    shapes = (d.Column(id="name", ko="이름", en="Name"), d.Column(id="shape", ko="모양", en="Shape", source=""))
    lamps = d.FromFile(format="xlsx", sheet="가로등", file="lamps/2026.xlsx")
    return (
        _facts(connector=lamps, columns=shapes, geometry=d.Shapes(column="shape", crs="EPSG:5179"), map=d.Map()),
        _facts(connector=d.FromHttp(format="xml", url="https://stops.example/xml"), synthetic=True),
        _facts(reading=d.Layout(format="csv", encoding="cp949"), chart=d.Chart(mark="line", x="name")),
    )


def _facts(**more: Any) -> d.Dataset:
    said: dict[str, Any] = {
        "title_ko": "버스정류장",
        "title_en": "Bus stops",
        "description_ko": "시내버스가 서는 곳",
        "description_en": "Where city buses stop",
        "subject": "transport",
        "owner_ko": "교통과",
        "owner_en": "Transport department",
        "source": "synthetic",
        "licence": "CC BY 4.0",
        "columns": (d.Column(id="name", ko="이름", en="Name"),),
    }
    return d.Dataset(**said | more)


def _findings() -> tuple[c.Counted, ...]:
    return (
        c.Counted(kind="mended", column="x", action="mended", rows=3),
        c.Counted(kind="repeated", column=None, action="dropped", rows=2),
    )


def _refresh(version: str, **more: Any) -> c.Refresh:
    said: dict[str, Any] = {
        "token": "0123456789abcdef",
        "rows": 40,
        "received": 42,
        "dropped": 2,
        "bytes": 2_048,
        "header": ("정류장번호", "정류장명", "경도", "위도"),
        "schema_digest": "1" * 64,
        "completeness": 0.975,
        "source": "https://stops.example/list",
        "took_s": 0.125,
    }
    return c.Refresh(version=version, **said | more)


def _of(dataset: str, seconds: float, kind: type[Command], **fields: Any) -> Step:
    return seconds, kind(at=moment(seconds), by="operator", dataset=dataset, **fields)


def _by(source: str, seconds: float, kind: type[Command], **fields: Any) -> Step:
    return seconds, kind(at=moment(seconds), by="operator", source=source, **fields)
