"""What readers see of a road shard, as Arrow tables built from the parts that changed, and its snapshot."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from actors.road.fold import hinder
from actors.road.state import NEVER, STAGES, Clearing, Road, Segment, Snow, State, Work
from actors.road.status import is_lagging, reasons_of, works_on
from actors.saved import rows
from schemas.base import from_micros, micros
from schemas.facility import Position
from schemas.road import SegmentFacts, Window, WorkPermitted
from schemas.tables import ROADS, SEGMENTS, SNOW, WORKS

_ROAD = ("name_ko", "name_en", "rank", "synthetic")
_PERMIT = ("road", "work", "title_ko", "title_en", "operator", "segments", "impact", "synthetic")
_FACTS = pa.schema([SEGMENTS.field(name) for name in ("segment", "name_ko", "length_m", "line")])
_SAVED_WORKS = pa.schema([*WORKS, pa.field("permitted_at", pa.int64()), pa.field("position_synthetic", pa.bool_())])
_SAVED_SNOW = pa.schema([*SNOW, pa.field("first_depth_cm", pa.float64())])
"""Snapshots hold what the published tables hold, and what deciders need beyond it."""


def tables(state: State) -> dict[str, pa.Table]:
    """The published tables, rows in the order of registration; what no event touched is not built again."""
    return {
        "roads": _kept(state, "roads", _roads),
        "segments": _kept(state, "segments", _segments),
        "works": _kept(state, "works", lambda state: pa.Table.from_pylist(list(_works(state)), WORKS)),
        "snow": _kept(state, "snow", lambda state: pa.Table.from_pylist(list(_snow(state)), SNOW)),
    }


def dump(state: State) -> dict[str, pa.Table]:
    """The whole state, for a snapshot."""
    return {
        **tables(state),
        "works": pa.Table.from_pylist(list(_works(state)), _SAVED_WORKS),
        "snow": pa.Table.from_pylist(list(_snow(state)), _SAVED_SNOW),
    }


def load(saved: dict[str, pa.Table]) -> State:
    """Inverse of `dump`: the same digest, the same tables."""
    state = State()
    for row in rows(saved["roads"]):
        state.roads[row["road"]] = Road(row["name_ko"], row["name_en"], row["rank"], row["synthetic"])
        state.touch("road", row["road"], row["road"])
    for row in rows(saved["segments"]):
        state.segments[row["segment"]] = _load_segment(row)
        state.roads[row["road"]].segments.append(row["segment"])
        state.touch("segment", row["road"], row["segment"])
    for row in rows(saved["works"]):
        work = state.roads[row["road"]].works[row["work"]] = _load_work(row)
        hinder(state, row["work"], work)
        state.touch("work", row["road"], row["work"])
    for row in rows(saved["snow"]):
        depths = row["first_depth_cm"], row["depth_cm"]
        snow = Snow(*depths, began_at=row["began_at"], synthetic=row["synthetic"], ended_at=row["ended_at"])
        state.roads[row["road"]].snow[row["snow"]] = snow
        state.touch("snow", row["road"], row["snow"])
    state.lagging = {segment for segment, known in state.segments.items() if is_lagging(state, known)}
    return state


def _kept(state: State, name: str, build: Callable[[State], pa.Table]) -> pa.Table:
    if name not in state.cache.tables:
        state.cache.tables[name] = build(state)
    return state.cache.tables[name]


def _roads(state: State) -> pa.Table:
    rows = [
        {
            "road": road_id,
            "name_ko": road.name_ko,
            "name_en": road.name_en,
            "rank": road.rank,
            "synthetic": road.synthetic,
        }
        for road_id, road in state.roads.items()
    ]
    return pa.Table.from_pylist(rows, ROADS)


def _segments(state: State) -> pa.Table:
    rows = state.cache.rows
    for road_id, road in state.roads.items():
        if road_id not in rows:
            rows[road_id] = _segments_of(state, road_id, road)
    # One chunk: readers filter and sort it far more often than it is built.
    return pa.concat_tables([SEGMENTS.empty_table(), *(rows[road] for road in state.roads)]).combine_chunks()


def _segments_of(state: State, road_id: str, road: Road) -> pa.Table:
    known = [state.segments[segment] for segment in road.segments]
    reports = [segment.clearing for segment in known]
    if road_id not in state.cache.facts:
        facts = [segment.facts for segment in known]
        columns = [pa.array([getattr(f, field.name) for f in facts], field.type) for field in _FACTS]
        state.cache.facts[road_id] = pa.Table.from_arrays(columns, schema=_FACTS)
    static = state.cache.facts[road_id]
    values: dict[str, list[Any]] = {
        "road": [road_id] * len(known),
        "rank": [road.rank] * len(known),
        "status": [segment.status for segment in known],
        "reasons": [reasons_of(segment.clearing.state, works_on(state, segment)) for segment in known],
        "status_since": [segment.status_since for segment in known],
        "clearing": [STAGES[report.stage] for report in reports],
        "clearing_since": [None if report.changed_at == NEVER else report.changed_at for report in reports],
        "uncleared_since": [segment.uncleared_since for segment in known],
        "last_cleared_at": [segment.last_cleared_at for segment in known],
        "window_start": [report.window[0] if report.window else None for report in reports],
        "window_end": [report.window[1] if report.window else None for report in reports],
        "source": [report.source for report in reports],
        "source_state": [report.source_state for report in reports],
        "synthetic": [road.synthetic] * len(known),
    }
    arrays = [
        static.column(field.name) if field.name in static.column_names else pa.array(values[field.name], field.type)
        for field in SEGMENTS
    ]
    return pa.Table.from_arrays(arrays, schema=SEGMENTS)


def _works(state: State) -> Iterable[dict[str, Any]]:
    for road_id, road in state.roads.items():
        for work_id, work in road.works.items():
            permit, position = work.permit, work.permit.position
            yield {
                "work": work_id,
                "road": road_id,
                "title_ko": permit.title_ko,
                "title_en": permit.title_en,
                "operator": permit.operator,
                "segments": permit.segments,
                "state": work.state,
                "impact": permit.impact,
                "window_start": micros(permit.window.start),
                "window_end": work.window_end,
                "permitted_end": micros(permit.window.end),
                "extensions": work.extensions,
                "started_at": work.started_at,
                "finished_at": work.finished_at,
                "early_s": work.early_s,
                "late_s": work.late_s,
                "lon": position.lon if position else None,
                "lat": position.lat if position else None,
                "synthetic": permit.synthetic,
                "permitted_at": micros(permit.at),
                "position_synthetic": position.synthetic if position else None,
            }


def _snow(state: State) -> Iterable[dict[str, Any]]:
    for road_id, road in state.roads.items():
        for snow_id, snow in road.snow.items():
            yield {
                "snow": snow_id,
                "road": road_id,
                "depth_cm": snow.depth_cm,
                "began_at": snow.began_at,
                "ended_at": snow.ended_at,
                "synthetic": snow.synthetic,
                "first_depth_cm": snow.first_depth_cm,
            }


def _load_segment(row: dict[str, Any]) -> Segment:
    window = () if row["window_start"] is None else (row["window_start"], row["window_end"])
    since = NEVER if row["clearing_since"] is None else row["clearing_since"]
    stage = STAGES.index(row["clearing"])
    return Segment(
        road=row["road"],
        facts=SegmentFacts(segment=row["segment"], name_ko=row["name_ko"], length_m=row["length_m"], line=row["line"]),
        clearing=Clearing(since, stage, window, row["source"], row["source_state"]),
        uncleared_since=row.get("uncleared_since"),
        last_cleared_at=row["last_cleared_at"],
        status=row["status"],
        status_since=row["status_since"],
    )


def _load_work(row: dict[str, Any]) -> Work:
    site = None if row["lon"] is None else Position(lon=row["lon"], lat=row["lat"], synthetic=row["position_synthetic"])
    permit = WorkPermitted(
        at=from_micros(row["permitted_at"]),
        window=Window(start=from_micros(row["window_start"]), end=from_micros(row["permitted_end"])),
        position=site,
        **{
            name: row[name]
            for name in ("road", "work", "title_ko", "title_en", "operator", "segments", "impact", "synthetic")
        },
    )
    counted = {name: row[name] for name in ("extensions", "started_at", "finished_at", "early_s", "late_s")}
    return Work(permit, row["window_end"], row["state"], **counted)
