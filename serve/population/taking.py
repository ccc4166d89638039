"""A file of counts as it comes, read and counted."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import polars as pl
import shapely

from actors.catalogue.reading import delimited
from actors.catalogue.reading.cells import clean, trimmed
from actors.catalogue.reading.decoding import decode
from actors.catalogue.reading.findings import Findings
from actors.catalogue.reading.header import bare
from actors.catalogue.reading.source import Limits
from actors.population.counts import Counted, counted
from actors.population.layouts import Layout, fare_card, operator, residents
from schemas.dataset import Column
from schemas.errors import InvalidError
from schemas.population import Measure, SourceFacts

_LIMITS = Limits(size=64 * 2**20)
_LAYOUTS: dict[Measure, Layout] = {
    "people-present": operator(),
    "living-population": replace(operator(), hour=None),
    "boardings": fare_card("승차건수"),
    "alightings": fare_card("하차건수"),
    "residents": residents(),
}
_NAMES = frozenset({"day", "hour", "place", "name", "lon", "lat", "cell", "value"})
"""Columns that a request may name otherwise."""
_PLACES = {
    "place": ("place", "stop", "정류장아이디", "정류장번호", "관리번호"),
    "name": ("name", "정류장명"),
    "lon": ("lon", "longitude", "x", "경도"),
    "lat": ("lat", "latitude", "y", "위도"),
}
"""What the columns of a file of places may be called, blanks left out; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file as counts. `input` is its SHA-256, `found` what was found in its cells (`findings.SUMMARY`).

    `places` counts the places that were sent along with coordinates; None where none were.
    """

    counted: Counted
    input: str
    layout: Layout
    found: pl.DataFrame
    places: int | None


def layout_of(measure: Measure, named: str = "") -> Layout:
    """How files of a measure are laid out; `named` says which columns are called otherwise: `day:일자,value:인구`.

    With a `place` or coordinates named, places have these and no cells. Raises `InvalidError` for other names.
    """
    layout = _LAYOUTS[measure]
    if not named:
        return layout
    if bad := [one for one in named.split(",") if one.partition(":")[0] not in _NAMES or not one.partition(":")[2]]:
        raise InvalidError(f"{bad[0]!r} names no column: write name:header, of the names {', '.join(sorted(_NAMES))}")
    said: dict[str, Any] = dict(one.split(":", 1) for one in named.split(","))
    if {"place", "lon", "lat"} & said.keys() and "cell" not in said:
        said["cell"] = None
    now_called = {getattr(layout, name): header for name, header in said.items()}
    identity = tuple(now_called.get(header, header) for header in layout.identity)
    values = layout.values | {said.get("value", layout.value)}
    return replace(layout, **{"values": values, "identity": identity, **said})


def taken(
    data: bytes,
    facts: SourceFacts,
    layout: Layout,
    *,
    places: bytes | None = None,
    city: shapely.Geometry | None = None,
    day: date | None = None,
    alike: Literal["add", "once"] = "add",
) -> Taken:
    """The counts of a CSV file (UTF-8 or CP949) of a source; heavy, so call it in a thread. See `counts.counted`.

    `places` is a CSV of places with coordinates, for a file that has none. Raises `InvalidError` for what cannot be
    read, for a file whose places have coordinates nowhere, and for one of which no row counts.
    """
    findings = Findings()
    headers = {name: getattr(layout, name) for name in sorted(_NAMES) if getattr(layout, name)}
    rows = _rows(data, headers.values(), {layout.value, layout.lon, layout.lat}, findings)
    if layout.cell is None and places is None and not {layout.lon, layout.lat} <= set(rows.columns):
        raise InvalidError(
            f"the file does not say where its places are, in {layout.lon!r} and {layout.lat!r}: send them, with their "
            "coordinates, as the part `places`"
        )
    beside = None if places is None else _places(places)
    hours = frozenset(facts.hours)
    found = counted(rows, layout, day=day, city=city, places=beside, hours=hours, alike=alike)
    if found.days.is_empty():
        raise InvalidError(f"no row of the file says a day, an hour and a number: it has the columns {rows.columns}")
    many = None if beside is None else beside.height
    return Taken(found, hashlib.sha256(data).hexdigest(), layout, findings.summary(), many)


def _rows(data: bytes, headers: Iterable[str], numbers: set[str | None], findings: Findings) -> pl.DataFrame:
    """All cells as texts under their headers; the numbers cleaned, what was found on the way told."""
    wanted = {bare(header): header for header in headers}
    source = delimited.parse(decode(data), wanted.values(), findings, _LIMITS)
    columns: dict[str, pl.Series] = {}
    for place, header in enumerate(source.header):
        name = wanted.get(bare(header), header)
        if name in columns:
            continue
        texts = trimmed(source.cells[str(place)])
        kind: Literal["number", "text"] = "number" if name in numbers else "text"
        if name in wanted.values():
            said = name or str(place)
            cleaned = clean(Column(id="cells", ko=said, en=said, kind=kind), texts, source.rows, findings)
            texts = cleaned.cast(pl.String)
        columns[name] = texts
    return pl.DataFrame(columns)


def _places(data: bytes) -> pl.DataFrame:
    """`place, name, lon, lat` of a file of places; those without coordinates left out."""
    names = {alias: name for name, aliases in reversed(_PLACES.items()) for alias in aliases}
    findings = Findings()
    source = delimited.parse(decode(data), names, findings, _LIMITS)
    at = {bare(header).lower(): str(place) for place, header in reversed(list(enumerate(source.header)))}
    found = {name: next((at[one] for one in aliases if one in at), None) for name, aliases in _PLACES.items()}
    if lacking := [name for name in ("place", "lon", "lat") if found[name] is None]:
        wanted = " or ".join(map(repr, _PLACES[lacking[0]]))
        raise InvalidError(f"the places have no column {wanted}: they have {list(source.header)}")
    columns = {}
    for name, place in found.items():
        texts = (
            pl.Series([None] * source.cells.height, dtype=pl.String) if place is None else trimmed(source.cells[place])
        )
        if name in ("lon", "lat"):
            texts = clean(Column(id=name, ko=name, en=name, kind="number"), texts, source.rows, findings)
        columns[name] = texts
    return pl.DataFrame(columns).drop_nulls(["place", "lon", "lat"]).unique(maintain_order=True)
