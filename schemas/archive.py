"""What the archive holds: the tables of facts, for statistics and for anyone who reads Delta Lake."""

import pyarrow as pa

PERSONAL = frozenset({"sighting", "person"})
"""Contexts that tell of persons: nothing of them is ever archived, so nothing of them has to be erased there."""

_TIME = pa.timestamp("us", tz="UTC")
_PLACE = {
    "context": pa.string(),
    "day": pa.date32(),
    "shard": pa.int32(),
    "commit": pa.int64(),
}
EVENTS = pa.schema(
    {
        **_PLACE,
        "sequence": pa.int64(),
        "entity": pa.string(),
        "type": pa.string(),
        "time": _TIME,
        "stored_at": _TIME,
        "synthetic": pa.bool_(),
        "data": pa.string(),
    }
)
"""One row an event as it stands in its log: `sequence` there, `data` its JSON in the version that `type` names.

`commit` is the log sequence of the commit record that sealed the row, `day` the UTC day of `time`; the tables are
partitioned by `context` and `day`.
"""
READINGS = pa.schema(
    {
        **_PLACE,
        "facility": pa.string(),
        "sensor": pa.string(),
        "time": _TIME,
        "value": pa.float64(),
        "quality": pa.int8(),
        "arrived": _TIME,
        "boot": pa.int64(),
        "sequence": pa.int64(),
        "synthetic": pa.bool_(),
    }
)
"""One row a reading that counted, once, in the order of its shard; when its day is over, about by facility, sensor and
time. `value` with gain and offset as of then, in the sensor's unit, `quality` 0 good, 1 uncertain, 2 bad (also outside
of the sensor's range); `arrived` when it came."""

ROLLUP = pa.schema(
    {
        "context": pa.string(),
        "day": pa.date32(),
        "facility": pa.string(),
        "sensor": pa.string(),
        "bucket": _TIME,
        "readings": pa.int64(),
        "bad": pa.int64(),
        "total": pa.float64(),
        "least": pa.float64(),
        "greatest": pa.float64(),
        "synthetic": pa.bool_(),
    }
)
"""A part of what a sensor measured in the bucket that begins then, by the clock of Asia/Seoul: `readings` good and
uncertain ones with their sum, least and greatest value (null where there are none), and how many `bad` ones.

A bucket may lie in several rows: what comes later is a row of its own until they are merged. Who reads adds them up.
"""
ROLLUPS = {"minutes": "1m", "hours": "1h", "days": "1d"}
"""The tables of roll-ups and the width of their buckets."""

TABLES = {"events": EVENTS, "readings": READINGS, **dict.fromkeys(ROLLUPS, ROLLUP)}
PARTITION = ("context", "day")
