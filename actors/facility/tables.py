"""What readers see: `schemas.tables.FACILITIES`, `SENSORS`, `ALARMS`, in order of registration. Immutable copies."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.facility.columns import NEVER, Columns
from actors.facility.risk import reasons
from actors.facility.state import Shard
from schemas import tables as t
from schemas.facility import SLOTS

_LEVELS = pa.array(["normal", "warning", "danger"])
_DANGER = [slot for slot, (_, level) in enumerate(SLOTS) if level == "danger"]


def tables(shard: Shard) -> dict[str, pa.Table]:
    """The three tables. Facilities and alarms are rebuilt when an event moved them, sensors each time."""
    views = shard.views
    if views.touched != shard.touched:
        views.facilities, views.alarms = _facilities(shard), _alarms(shard)
        views.touched = shard.touched
    if views.version != shard.columns.version:
        views.static = _static(shard.columns)
        views.version = shard.columns.version
    return {"facilities": views.facilities, "sensors": _sensors(shard.columns, views.static), "alarms": views.alarms}


def _facilities(shard: Shard) -> pa.Table:
    rows = []
    for facility in shard.facilities.values():
        facts, position = facility.facts, facility.facts.position
        rows.append({
            "facility": facility.id, "name_ko": facts.name_ko, "name_en": facts.name_en, "kind": facts.kind,
            "grade": facts.grade, "lon": position and position.lon, "lat": position and position.lat,
            "position_synthetic": position is not None and position.synthetic, "area": facts.area,
            "synthetic": facts.synthetic, "maintenance": facility.maintenance, "risk": facility.risk,
            "reasons": list(reasons(facility, shard.kind)), "risk_since": facility.risk_since,
        })  # fmt: skip
    return _table(rows, t.FACILITIES)


def _alarms(shard: Shard) -> pa.Table:
    rows = [
        {
            "alarm": alarm.id, "facility": facility.id, "sensor": alarm.sensor, "condition": alarm.condition,
            "level": alarm.level, "state": alarm.state, "value": alarm.value, "limit": alarm.limit, "unit": alarm.unit,
            "raised_at": alarm.raised_at, "returned_at": alarm.returned_at, "acknowledged_at": alarm.acknowledged_at,
            "acknowledged_by": alarm.acknowledged_by, "shelved_until": alarm.shelved_until,
            "shelved_by": alarm.shelved_by, "verdict": alarm.verdict, "synthetic": alarm.synthetic,
        }
        for facility in shard.facilities.values()
        for alarm in facility.alarms.values()
    ]  # fmt: skip
    return _table(rows, t.ALARMS)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def _static(columns: Columns) -> dict[str, pa.Array]:
    facts = columns.facts
    return {
        "sensor": pa.array(columns.ids, pa.string()),
        "facility": pa.array(columns.facility, pa.string()),
        "kind": pa.array([fact.kind for fact in facts], pa.string()),
        "unit": pa.array([fact.unit for fact in facts], pa.string()),
        "name_ko": pa.array([fact.name_ko for fact in facts], pa.string()),
        "synthetic": pa.array([fact.synthetic for fact in facts], pa.bool_()),
        "recorded": pa.array([fact.recorded for fact in facts], pa.bool_()),
        "gateway": pa.array([fact.gateway for fact in facts], pa.string()),
    }


def _sensors(columns: Columns, static: dict[str, pa.Array]) -> pa.Table:
    live = columns.live()
    count, unread, silent = live["count"], live["time"] == NEVER, live["arrived"] == NEVER
    uncounted, single = count == 0, count < 2
    n = np.maximum(count, 1).astype(np.float64)
    mean = live["origin"] + live["sum1"] / n
    spread = np.maximum(live["sum2"] - live["sum1"] * (live["sum1"] / n), 0.0)
    unheard = live["boot"] < 0
    active = live["active"]
    level = np.where(active[:, _DANGER].any(axis=1), 2, np.where(active.any(axis=1), 1, 0))
    dynamic = {
        "value": _cells(live["value"], unread), "time": _cells(live["time"], unread),
        "arrived": _cells(live["arrived"], silent), "quality": _cells(live["quality"], unread),
        "level": pc.take(_LEVELS, pa.array(level)), "stale": pa.array(live["stale"] > 0),
        "boot": _cells(live["boot"].astype(np.uint32), unheard),
        "sequence": _cells(live["top"].astype(np.uint64), unheard),
        "count": _cells(count), "mean": _cells(mean, uncounted),
        "deviation": _cells(np.sqrt(spread / np.maximum(n - 1, 1)), single),
        "min": _cells(live["minimum"], uncounted), "max": _cells(live["maximum"], uncounted),
        "gaps": _cells(live["gaps"]), "late": _cells(live["late"]), "duplicates": _cells(live["duplicates"]),
        "bad": _cells(live["bad"]),
    }  # fmt: skip
    both = static | dynamic
    return pa.Table.from_arrays([both[field.name].cast(field.type) for field in t.SENSORS], schema=t.SENSORS)


def _cells(values: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """A copy: the columns go on changing while readers hold the table."""
    return pa.array(values.copy(), mask=absent)
