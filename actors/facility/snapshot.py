"""The whole state as Arrow tables and back, and its digest."""

import hashlib
from dataclasses import fields as fields_of
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from actors.facility.aggregate import Alarm, Facility
from actors.facility.columns import CONFIG, LIVE, Columns
from actors.facility.state import Shard
from schemas.facility import FacilityFacts, Limit, SensorFacts

_LIMITS: TypeAdapter[tuple[Limit, ...]] = TypeAdapter(tuple[Limit, ...])
_ALARM = tuple(field.name for field in fields_of(Alarm))
_TEXTS = ("id", "facility", "facts", "limits", "serial")


def dump(shard: Shard) -> dict[str, pa.Table]:
    """Facilities (with their alarms, as canonical JSON) and sensors, in order of registration. Shares no memory."""
    columns = shard.columns
    facilities = [_facility_json(facility).decode() for facility in shard.facilities.values()]
    texts = {
        "id": columns.ids,
        "facility": columns.facility,
        "facts": [facts.model_dump_json() for facts in columns.facts],
        "limits": [_limits_text(columns, i) for i in range(columns.n)],
        "serial": columns.serials,
    }
    sensors = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    sensors |= {name: _to_arrow(array) for name, array in (columns.config() | columns.live()).items()}
    return {
        "facilities": pa.table({"state": pa.array(facilities, pa.string())}),
        "sensors": pa.table(sensors),
        "units": pa.table({"unit": pa.array(list(columns.units), pa.string())}),
    }


def load(tables: dict[str, pa.Table]) -> Shard:
    """Inverse of `dump`: the same digest, bit for bit."""
    shard = Shard()
    for text in tables["facilities"].column("state").to_pylist():
        facility = _facility_from_json(text)
        shard.facilities[facility.id] = facility
        shard.shelved |= {a.id: facility.id for a in facility.alarms.values() if a.shelved_until is not None}
    columns = shard.columns
    columns.units = {unit: number for number, unit in enumerate(tables["units"].column("unit").to_pylist())}
    sensors = tables["sensors"].combine_chunks()
    ids, owners, facts_texts, limits, serials = (sensors.column(name).to_pylist() for name in _TEXTS)
    known = [SensorFacts.model_validate_json(text) for text in facts_texts]
    watched = [
        facts.limits if text is None else _LIMITS.validate_json(text) for facts, text in zip(known, limits, strict=True)
    ]
    columns.extend(ids, owners, known, watched, serials)
    for name in (CONFIG | LIVE).keys() & set(sensors.column_names):  # one that came later starts as for a new sensor
        _restore(columns, name, sensors.column(name))
    return shard


def digest(shard: Shard) -> str:
    """BLAKE2b over everything in the state; what has not moved since the last call is not hashed again."""
    for name, facility in shard.facilities.items():
        if name not in shard.pieces:
            shard.pieces[name] = hashlib.blake2b(_facility_json(facility), digest_size=16).digest()
    whole = hashlib.blake2b(b"".join(shard.pieces[name] for name in shard.facilities), digest_size=16)
    whole.update(_config_digest(shard))
    for name, array in shard.columns.live().items():
        known = shard.version > 1 or name != "seen_arrived"
        if known and array.size:  # what is empty has no bytes, and cannot be cast to them
            whole.update(array.data.cast("B"))
    return whole.hexdigest()


def _config_digest(shard: Shard) -> bytes:
    columns = shard.columns
    kept = shard.config_digest
    if kept is None or kept[0] != columns.version:
        for i in columns.moved:
            texts = (columns.ids[i], columns.facility[i], columns.serials[i], columns.facts[i].model_dump_json())
            text = orjson.dumps([*texts, _limits_text(columns, i)])
            columns.pieces[i] = hashlib.blake2b(text, digest_size=16).digest()
        columns.moved.clear()
        config = hashlib.blake2b(b"".join(columns.pieces), digest_size=16)
        config.update(orjson.dumps(list(columns.units)))
        for array in columns.config().values():
            config.update(array.tobytes())
        kept = shard.config_digest = (columns.version, config.digest())
    return kept[1]


def _limits_text(columns: Columns, i: int) -> str | None:
    """A sensor's limits; `None` where they are those of its facts, as they mostly are."""
    limits = columns.limits[i]
    return None if limits == columns.facts[i].limits else _LIMITS.dump_json(limits).decode()


def _facility_json(facility: Facility) -> bytes:
    fields: dict[str, Any] = {
        "id": facility.id,
        "facts": facility.facts.model_dump(mode="json"),
        "risk": facility.risk,
        "risk_since": facility.risk_since,
        "maintenance": facility.maintenance,
        "sensors": facility.sensors,
        "alarms": [_alarm_fields(alarm) for alarm in facility.alarms.values()],
        "stale": sorted(facility.stale),
    }
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def _alarm_fields(alarm: Alarm) -> dict[str, Any]:
    """An alarm without a verdict reads as before there were any: digests in old commits stay what they are."""
    return {name: getattr(alarm, name) for name in _ALARM if name != "verdict" or alarm.verdict is not None}


def _facility_from_json(text: str) -> Facility:
    fields = orjson.loads(text)
    fields["facts"] = FacilityFacts.model_validate(fields["facts"])
    fields["alarms"] = {alarm["id"]: Alarm(**alarm) for alarm in fields["alarms"]}
    fields["stale"] = set(fields["stale"])
    return Facility(**fields)


def _to_arrow(array: NDArray[Any]) -> pa.Array:
    if array.ndim == 1:
        return pa.array(array.copy())
    return pa.FixedSizeListArray.from_arrays(pa.array(array.copy().ravel()), array.shape[1])


def _restore(columns: Columns, name: str, column: pa.ChunkedArray) -> None:
    target: NDArray[Any] = getattr(columns, name)
    if columns.n:
        flat = column.combine_chunks()
        values = np.asarray(flat if target.ndim == 1 else flat.flatten())
        target[: columns.n] = values.reshape(target[: columns.n].shape)
