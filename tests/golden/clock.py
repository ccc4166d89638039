"""When the stories of the golden logs are told."""

from datetime import UTC, datetime, timedelta

from schemas.base import Command
from streams.ingest import Observed

START = datetime(2026, 1, 15, 9, tzinfo=UTC)
Step = tuple[float, Command | Observed | None]
"""Seconds after `START`, and what comes then; nothing but the clock where it is None."""


def moment(seconds: float) -> datetime:
    """So many seconds after `START`."""
    return START + timedelta(seconds=seconds)
