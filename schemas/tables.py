"""Arrow schemas: what a batch of readings looks like on the wire, and what shards publish for readers."""

import pyarrow as pa

GOOD, UNCERTAIN, BAD = 0, 1, 2
"""Quality codes of a reading."""

READINGS = pa.schema(
    [
        pa.field("sensor", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("sequence", pa.uint64(), nullable=False),
        pa.field("boot", pa.uint32(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
    ]
)
"""A batch of readings, an Arrow IPC stream. Plain `string` sensors and an optional `unit` column are accepted too.

`sequence` counts up per sensor within a `boot`, to 2^63 - 1 at most; `boot` counts the device's restarts. `(sensor,
boot, sequence)` is the identity of a reading: it counts once however often it is delivered.
"""
OPTIONAL = pa.schema([pa.field("unit", pa.string())])

MAX_READINGS = 100_000
"""Rows in one message; larger batches go to REJECTED whole."""

_TIME = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()

FACILITIES = pa.schema(
    {
        "facility": _TEXT,
        "name_ko": _TEXT,
        "name_en": _TEXT,
        "kind": _TEXT,
        "grade": _TEXT,
        "lon": pa.float64(),
        "lat": pa.float64(),
        "position_synthetic": pa.bool_(),
        "area": _TEXT,
        "synthetic": pa.bool_(),
        "maintenance": pa.bool_(),
        "risk": _TEXT,
        "reasons": pa.list_(_TEXT),
        "risk_since": _TIME,
    }
)
SENSORS = pa.schema(
    {
        "sensor": _TEXT,
        "facility": _TEXT,
        "kind": _TEXT,
        "unit": _TEXT,
        "name_ko": _TEXT,
        "value": pa.float64(),
        "time": _TIME,
        "arrived": _TIME,
        "quality": pa.uint8(),
        "level": _TEXT,
        "stale": pa.bool_(),
        "boot": pa.uint32(),
        "sequence": pa.uint64(),
        "count": pa.uint64(),
        "mean": pa.float64(),
        "deviation": pa.float64(),
        "min": pa.float64(),
        "max": pa.float64(),
        "gaps": pa.uint64(),
        "late": pa.uint64(),
        "duplicates": pa.uint64(),
        "bad": pa.uint64(),
        "synthetic": pa.bool_(),
        "recorded": pa.bool_(),
        "gateway": _TEXT,
    }
)
"""`level` is `normal`, `warning` or `danger`; value, time, arrived are null before the first reading."""
ALARMS = pa.schema(
    {
        "alarm": _TEXT,
        "facility": _TEXT,
        "sensor": _TEXT,
        "condition": _TEXT,
        "level": _TEXT,
        "state": _TEXT,
        "value": pa.float64(),
        "limit": pa.float64(),
        "unit": _TEXT,
        "raised_at": _TIME,
        "returned_at": _TIME,
        "acknowledged_at": _TIME,
        "acknowledged_by": _TEXT,
        "shelved_until": _TIME,
        "shelved_by": _TEXT,
        "verdict": _TEXT,
        "synthetic": pa.bool_(),
    }
)
"""`state`: `active`, `acknowledged`, `returned` (RTN, unacknowledged); a cleared alarm leaves the table.
`verdict`: `real`, `false`, or null where nobody has judged it."""
ROADS = pa.schema({"road": _TEXT, "name_ko": _TEXT, "name_en": _TEXT, "rank": _TEXT, "synthetic": pa.bool_()})
SEGMENTS = pa.schema(
    {
        "segment": _TEXT,
        "road": _TEXT,
        "name_ko": _TEXT,
        "rank": _TEXT,
        "length_m": pa.float64(),
        "line": pa.list_(pa.list_(pa.float64(), 2)),
        "status": _TEXT,
        "reasons": pa.list_(_TEXT),
        "status_since": _TIME,
        "clearing": _TEXT,
        "clearing_since": _TIME,
        "uncleared_since": _TIME,
        "last_cleared_at": _TIME,
        "window_start": _TIME,
        "window_end": _TIME,
        "source": _TEXT,
        "source_state": _TEXT,
        "synthetic": pa.bool_(),
    }
)
WORKS = pa.schema(
    {
        "work": _TEXT,
        "road": _TEXT,
        "title_ko": _TEXT,
        "title_en": _TEXT,
        "operator": _TEXT,
        "segments": pa.list_(_TEXT),
        "state": _TEXT,
        "impact": _TEXT,
        "window_start": _TIME,
        "window_end": _TIME,
        "permitted_end": _TIME,
        "extensions": pa.uint32(),
        "started_at": _TIME,
        "finished_at": _TIME,
        "early_s": pa.float64(),
        "late_s": pa.float64(),
        "lon": pa.float64(),
        "lat": pa.float64(),
        "synthetic": pa.bool_(),
    }
)
"""`window_end` moves with extensions, `permitted_end` does not."""
SNOW = pa.schema(
    {
        "snow": _TEXT,
        "road": _TEXT,
        "depth_cm": pa.float64(),
        "began_at": _TIME,
        "ended_at": _TIME,
        "synthetic": pa.bool_(),
    }
)
CASES = pa.schema(
    {
        "case": _TEXT,
        "state": _TEXT,
        "kind": _TEXT,
        "authority": _TEXT,
        "legal_ground": _TEXT,
        "reason": _TEXT,
        "officer": _TEXT,
        "expires_at": _TIME,
        "opened_at": _TIME,
        "opened_by": _TEXT,
        "authorised_at": _TIME,
        "authorised_by": _TEXT,
        "sole": pa.bool_(),
        "ended_at": _TIME,
        "outcome": _TEXT,
        "erased_at": _TIME,
        "searches": pa.uint32(),
    }
)
CANDIDATES = pa.schema(
    {
        "case": _TEXT,
        "candidate": _TEXT,
        "sighting": _TEXT,
        "camera": _TEXT,
        "time": _TIME,
        "model": _TEXT,
        "score": pa.float64(),
        "probability": pa.float64(),
        "state": _TEXT,
        "found_by": _TEXT,
        "found_at": _TIME,
        "decided_at": _TIME,
        "decided_by": _TEXT,
        "reason": _TEXT,
    }
)
"""`state` is `found`, `confirmed` or `dismissed`; `found_by` the search or watch that found it first."""
WATCHES = pa.schema(
    {
        "case": _TEXT,
        "watch": _TEXT,
        "query": _TEXT,
        "models": pa.list_(_TEXT),
        "min_probability": pa.float64(),
        "cameras": pa.list_(_TEXT),
        "started_at": _TIME,
        "started_by": _TEXT,
        "ended_at": _TIME,
        "reason": _TEXT,
        "hits": pa.uint32(),
    }
)
"""A watch is active while `ended_at` is null; no `cameras` means all."""
CAMERAS = pa.schema(
    {
        "camera": _TEXT,
        "name_ko": _TEXT,
        "name_en": _TEXT,
        "lon": pa.float64(),
        "lat": pa.float64(),
        "position_synthetic": pa.bool_(),
        "area": _TEXT,
        "group": _TEXT,
        "gateway": _TEXT,
        "retention_days": pa.uint16(),
        "silent_after_s": pa.uint32(),
        "synthetic": pa.bool_(),
        "registered_at": _TIME,
        "heard_at": _TIME,
        "silent_since": _TIME,
        "models": pa.list_(_TEXT),
        "blocks": pa.uint64(),
        "sightings": pa.uint64(),
    }
)
"""`heard_at` is the registration's time until a camera is heard; `sightings` are the rows that its blocks hold."""
ERASURES = pa.schema(
    {
        "camera": _TEXT,
        "erasure": _TEXT,
        "window_start": _TIME,
        "window_end": _TIME,
        "sightings": pa.list_(_TEXT),
        "reason": _TEXT,
        "by": _TEXT,
        "case": _TEXT,
        "requested_at": _TIME,
        "erased_at": _TIME,
        "rows": pa.uint64(),
        "blocks": pa.uint64(),
        "segments": pa.uint64(),
    }
)
"""`erased_at` is null while it is under way; receipts are the camera's events `sightings-erased` and `blocks-lost`."""

_HOURS = pa.list_(pa.uint8())
SOURCES = pa.schema(
    {
        "source": _TEXT,
        "title_ko": _TEXT,
        "title_en": _TEXT,
        "provider": _TEXT,
        "measure": _TEXT,
        "suppress_below": pa.uint16(),
        "hours": _HOURS,
        "licence": _TEXT,
        "synthetic": pa.bool_(),
        "registered_at": _TIME,
        "retired_at": _TIME,
        "retired_why": _TEXT,
        "days": pa.uint32(),
        "whole_days": pa.uint32(),
        "first_day": pa.date32(),
        "last_day": pa.date32(),
    }
)
"""`hours` are those in which a source counts, of Asia/Seoul."""
DAYS = pa.schema(
    {
        "source": _TEXT,
        "day": pa.date32(),
        "block": _TEXT,
        "rows": pa.uint64(),
        "total": pa.float64(),
        "hours": _HOURS,
        "whole": pa.bool_(),
        "outside": pa.float64(),
        "unplaced": pa.float64(),
        "repeated": pa.float64(),
        "places_outside": pa.uint32(),
        "places_unplaced": pa.uint32(),
        "input": _TEXT,
        "recorded_at": _TIME,
        "recorded_by": _TEXT,
        "earlier": pa.list_(_TEXT),
    }
)
"""Days are those of Asia/Seoul. `total` is exact: it leaves only through `serve.population.suppress.told_total`."""
DATASETS = pa.schema(
    {
        "dataset": _TEXT,
        "facts": _TEXT,
        "opened": pa.list_(_TEXT),
        "registered_at": _TIME,
        "modified_at": _TIME,
        "seen_at": _TIME,
        "late_since": _TIME,
        "down_since": _TIME,
        "down_why": _TEXT,
        "columns_changed_at": _TIME,
        "retired_at": _TIME,
        "retired_why": _TEXT,
        "superseded_by": _TEXT,
        "seeded": pa.bool_(),
    }
)
"""`facts` is `schemas.dataset.Dataset` as JSON; `seen_at` is when the source last answered."""
VERSIONS = pa.schema(
    {
        "dataset": _TEXT,
        "since": _TIME,
        "until": _TIME,
        "version": _TEXT,
        "rows": pa.uint64(),
        "received": pa.uint64(),
        "dropped": pa.uint64(),
        "completeness": pa.float64(),
        "found": pa.uint64(),
        "findings": _TEXT,
        "refresh": _TEXT,
    }
)
"""The versions of each dataset, oldest first. `refresh` is `schemas.catalogue.Refresh` as JSON, `findings` that of its
counts, `found` how many there are in all."""

PUBLISHED: dict[str, dict[str, pa.Schema]] = {
    "facility": {"facilities": FACILITIES, "sensors": SENSORS, "alarms": ALARMS},
    "road": {"roads": ROADS, "segments": SEGMENTS, "works": WORKS, "snow": SNOW},
    "sighting": {"cameras": CAMERAS, "erasures": ERASURES},
    "person": {"cases": CASES, "candidates": CANDIDATES, "watches": WATCHES},
    "population": {"sources": SOURCES, "days": DAYS},
    "catalogue": {"datasets": DATASETS, "versions": VERSIONS},
}
"""The tables that each context's shards publish, by name."""
