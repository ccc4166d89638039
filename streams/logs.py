"""Structured logs: one JSON object a line on standard error, for whatever collects them."""

import logging
from datetime import UTC, datetime

import orjson


class Lines(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, and `exception` with its trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON; what a message holds cannot break its line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(said).decode()


def configure(level: str) -> None:
    """Log from `level` on, in this process; for whoever starts one."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[handler])
