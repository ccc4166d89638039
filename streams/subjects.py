"""Every subject and stream name in one place, and the partition function.

INGEST listens on `city.raw.<context>.<entity>.<kind>` and stores `city.in.<partition>.<context>.<entity>.<kind>`; the
server's `{{partition(n,1)}}` over the entity token chooses the partition, and `partition` here computes the same
(FNV-1a, 32 bits; a test checks both against each other).
"""

from typing import NamedTuple

_RESERVED = frozenset(" .*>")
_LONGEST_TOKEN = 128
"""Characters: a line of the NATS protocol, with its subjects, is limited to 4096 bytes."""
_FNV_OFFSET, _FNV_PRIME = 2_166_136_261, 16_777_619

FEED, REJECTED, CASES = "FEED", "REJECTED", "CASES"
COMMANDED = frozenset({"person", "population", "catalogue"})
"""Contexts that commands alone move: their owners read no INGEST."""
WITHOUT_INPUT = COMMANDED - {"catalogue"}
"""Contexts that have none: rows of datasets wait in `INGEST_CATALOGUE` for whoever refreshes datasets."""
ERASED_INPUT = frozenset({"sighting"})
"""Contexts whose input is erased once committed: it lies on one server alone, for Raft's own log would keep it."""
READINGS, CLEARING, SIGHTINGS, ROWS = "readings", "clearing", "sightings", "rows"
GATEWAY_PREFIX = "gw-"
"""The kind `gw-<gateway>`: a gateway speaks, for the sensors or cameras that name it, on any entity of their shard."""


def partition(entity: str, partitions: int) -> int:
    """The shard of an entity: the same number that nats-server's subject transform computes."""
    value = _FNV_OFFSET
    for byte in entity.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFF_FFFF
    return value % partitions


def ingest_stream(context: str) -> str:
    """`INGEST_FACILITY`."""
    return f"INGEST_{context.upper()}"


def log_stream(context: str, shard: int) -> str:
    """`LOG_FACILITY_3`."""
    return f"LOG_{context.upper()}_{shard}"


def raw(context: str, entity: str, kind: str) -> str:
    """Where a device or feed publishes."""
    return f"city.raw.{context}.{entity}.{kind}"


def ingest_filter(context: str, shard: int) -> str:
    """What the owner of a shard consumes."""
    return f"city.in.{shard}.{context}.>"


class IngestSubject(NamedTuple):
    """The parts of `city.in.<partition>.<context>.<entity>.<kind>`."""

    shard: int
    context: str
    entity: str
    kind: str


def parse_ingest(subject: str) -> IngestSubject:
    """Split a stored INGEST subject. Raises `ValueError` for anything else."""
    city, word, shard, context, entity, kind = subject.split(".")
    if (city, word) != ("city", "in"):
        raise ValueError(f"{subject} is not an INGEST subject")
    return IngestSubject(int(shard), context, entity, kind)


def log_subject(context: str, shard: int, entity: str, event: str) -> str:
    """Where an event stands in its log."""
    return f"city.log.{context}.{shard}.{entity}.{event}"


def feed_subject(audience: str, context: str, entity: str, event: str) -> str:
    """`city.pub.facility.bridge-1.alarm-raised`; `audience` is `pub` or `staff`."""
    return f"city.{audience}.{context}.{entity}.{event}"


def case_subject(case: str, event: str) -> str:
    """`city.case.<case>.watch-hit`: what only the officers of that case hear."""
    return f"city.case.{case}.{event}"


def token(text: str) -> str:
    """A text of anybody's as one token that can be said, filtered for and read: cut, and `_` for what cannot stand."""
    said = "".join("_" if one in _RESERVED or not one.isprintable() else one for one in text[:_LONGEST_TOKEN])
    return said or "_"


def rejected_subject(context: str, entity: str) -> str:
    """Where refused input of an entity is kept."""
    return f"city.rejected.{context}.{entity}"
