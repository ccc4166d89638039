"""What is logged can be read by a machine, whatever is in it."""

import logging
import sys

import orjson

from streams.logs import Lines


def told(message: str, *arguments: object, failure: bool = False) -> dict[str, str]:
    info = None
    if failure:
        try:
            raise ValueError("the disk\nis full")
        except ValueError:
            info = sys.exc_info()
    record = logging.LogRecord("actors.shard", logging.WARNING, "shard.py", 1, message, arguments, info)
    record.created = 1_800_000_000.25
    line = Lines().format(record)
    assert "\n" not in line
    fields: dict[str, str] = orjson.loads(line)
    return fields


def test_a_record_is_one_json_object_with_its_time_in_utc() -> None:
    assert told('%s: "again"\n', "LOG_ROAD_0") == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "WARNING",
        "logger": "actors.shard",
        "message": 'LOG_ROAD_0: "again"\n',
    }


def test_a_failure_is_told_with_its_trace() -> None:
    assert "ValueError: the disk\nis full" in told("it failed", failure=True)["exception"]
