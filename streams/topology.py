"""The streams of a city: their limits and retention in one table, created and kept up to date.

`docs/streams.md` shows `table()`; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from nats.aio.client import Client

from schemas.errors import SetupError
from schemas.person import MAX_CASE_DAYS
from schemas.settings import CONTEXTS, Settings
from streams import subjects
from streams.api import JetStreamApiError, request, when_settled
from streams.permissions import CITY_API, MIRROR_DELIVER

SNAPSHOTS = "SNAPSHOTS"
"""Object store bucket of the snapshots; its stream is `OBJ_SNAPSHOTS`."""

MAX_MESSAGE = 8 * 1024 * 1024 - 65_536
"""Bytes of one message of INGEST: what the server takes, less room for the headers that REJECTED adds."""

MOST_WAITING = 500
"""Messages with rows of one dataset that wait to be taken in; more are refused until then."""

REJECTED_DAYS = 30
"""How long refused input is kept."""

CREATE_TIMEOUT_S = 30.0
"""For a stream that is made or changed: several fsyncs, each of which waits for whatever else the disk has to do."""
_NOT_FOUND = 10059
_MEGABYTE = 1_000_000
_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How one family of streams keeps what it holds, and the sentence for the documentation."""

    streams: str
    listens: str
    max_mb: int
    when_full: str
    duplicates: str
    why: str


RETENTION: Mapping[str, Retention] = MappingProxyType(
    {
        "ingest": Retention(
            "INGEST_<CONTEXT>",
            "city.raw.<context>.<entity>.<kind>",
            16_384,
            "refuses new",
            "100 ms",
            "The truth of observations; a range leaves only when it is archived and covered by a snapshot. The "
            "shortest window: a device could send another's message id. `person` and `population` have no input. Each "
            "message of `INGEST_SIGHTING`, always on one server, is erased once it is committed; of `INGEST_CATALOGUE` "
            "it is removed once its rows are in a version of their dataset, and of one dataset 500 wait at most",
        ),
        "log": Retention(
            "LOG_<CONTEXT>_<SHARD>",
            "city.log.<context>.<shard>.<entity>.<event>",
            4_096,
            "refuses new",
            "100 ms",
            "The truth of decisions, kept for ever: no message can be deleted; fenced by expected sequences",
        ),
        "feed": Retention(
            "FEED",
            "city.pub.>, city.staff.>",
            1_024,
            "drops the oldest",
            "10 min",
            "Can be made again from the logs. The window covers an owner's publishing again after a crash",
        ),
        "rejected": Retention(
            "REJECTED",
            "city.rejected.<context>.<entity>",
            1_024,
            "drops the oldest",
            "10 min",
            "For operators; refused input must not stop a shard. Expires after 30 days; of sightings it holds no more "
            "than id, camera, time and reason",
        ),
        "cases": Retention(
            "CASES",
            "city.case.<case>.watch-hit",
            256,
            "drops the oldest",
            "10 min",
            "For the officers of a case alone; kept 30 days at most, and purged when the case is erased",
        ),
        "snapshots": Retention(
            "OBJ_SNAPSHOTS",
            "object store SNAPSHOTS",
            8_192,
            "refuses new",
            "–",
            "Thinned by their writer: hourly for a day, daily for the retention",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Topology:
    """What the streams of a city shall be. `max_mb` overrides the table's limits by its keys, in 10^6 bytes."""

    shards: Mapping[str, int]
    replicas: int = 1
    max_mb: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> "Topology":
        """What the settings ask for."""
        sizes = {
            "log": settings.log_max_mb,
            "ingest": settings.ingest_max_mb,
            "feed": settings.feed_max_mb,
            "rejected": settings.rejected_max_mb,
        }
        return cls({context: settings.shards(context) for context in CONTEXTS}, settings.replicas, sizes)

    def max_bytes(self, key: str) -> int:
        """The size limit of a stream of this family."""
        return self.max_mb.get(key, RETENTION[key].max_mb) * _MEGABYTE

    def fitted(self, free_bytes: int) -> "Topology":
        """The same with all limits shrunk alike, so that together they take at most half of a disk's free bytes.

        JetStream reserves the limits of all streams and refuses a stream that does not fit.
        """
        counts = {"ingest": len(self.shards.keys() - subjects.WITHOUT_INPUT), "log": sum(self.shards.values())}
        total = sum(self.max_bytes(key) * counts.get(key, 2 if key == "feed" else 1) for key in RETENTION)
        share = min(1.0, free_bytes / 2 / (total * self.replicas))
        return replace(self, max_mb={key: max(16, int(self.max_bytes(key) * share / _MEGABYTE)) for key in RETENTION})

    def streams(self) -> list[dict[str, Any]]:
        """Configurations of all streams of the account `CITY`, as JetStream's API takes them."""
        found: list[dict[str, Any]] = []
        for context, count in self.shards.items():
            metadata = {"metadata": {"shards": str(count)}}
            logs = [
                self._stream("log", subjects.log_stream(context, shard), [f"city.log.{context}.{shard}.*.*"])
                | {"allow_atomic": True, "deny_delete": True, "deny_purge": True}
                for shard in range(count)
            ]
            if context in subjects.WITHOUT_INPUT:
                found += [log | metadata for log in logs]
            else:
                found += [self._ingest(context, count) | metadata, *logs]
        found.append(self._stream("feed", subjects.FEED, ["city.pub.>", "city.staff.>"]) | {"allow_atomic": True})
        found.append(
            self._stream("cases", subjects.CASES, ["city.case.*.*"])
            | {"allow_atomic": True, "max_age": MAX_CASE_DAYS * 86_400 * _SECOND_NS}
        )
        rejected = self._stream("rejected", subjects.REJECTED, ["city.rejected.>"])
        found.append(rejected | {"max_age": REJECTED_DAYS * 86_400 * _SECOND_NS})
        # The layout that NATS clients give an object store bucket (ADR-20).
        found.append(
            {
                **self._stream("snapshots", f"OBJ_{SNAPSHOTS}", [f"$O.{SNAPSHOTS}.C.>", f"$O.{SNAPSHOTS}.M.>"]),
                "allow_rollup_hdrs": True,
            }
        )
        return found

    def feed_mirror(self) -> dict[str, Any]:
        """Configuration of the apps' own copy of FEED, in the account `APPS`: no subject leads into it."""
        mirror = {"name": subjects.FEED, "external": {"api": CITY_API, "deliver": MIRROR_DELIVER}}
        config = {**self._stream("feed", subjects.FEED, None), "mirror": mirror}
        # No fsync for each message of a copy: what it loses with the power, it fetches from FEED again.
        return {**config, "persist_mode": "async"} if self.replicas == 1 else config

    def _ingest(self, context: str, shards: int) -> dict[str, Any]:
        listens = f"city.raw.{context}.*.*"
        stored = f"city.in.{{{{partition({shards},1)}}}}.{context}." + "{{wildcard(1)}}.{{wildcard(2)}}"
        own: dict[str, Any] = {"num_replicas": 1} if context in subjects.ERASED_INPUT else {}
        if context == "catalogue":
            # No provider takes the room of the others.
            own = {"max_msgs_per_subject": MOST_WAITING, "discard_new_per_subject": True}
        return {
            **self._stream("ingest", subjects.ingest_stream(context), [listens]),
            **own,
            "subject_transform": {"src": listens, "dest": stored},
            "max_msg_size": MAX_MESSAGE,
        }

    def _stream(self, key: str, name: str, listens: list[str] | None) -> dict[str, Any]:
        window_ns = {"100 ms": 100 * _MILLISECOND_NS, "10 min": 600 * _SECOND_NS, "–": 0}[RETENTION[key].duplicates]
        config: dict[str, Any] = {
            "name": name,
            "storage": "file",
            "retention": "limits",
            "num_replicas": self.replicas,
            "max_bytes": self.max_bytes(key),
            "discard": "old" if RETENTION[key].when_full == "drops the oldest" else "new",
            "allow_direct": True,
        }
        if listens is None:
            return config
        return {**config, "subjects": listens} | ({"duplicate_window": window_ns} if window_ns else {})


async def ensure_streams(nc: Client, topology: Topology, apps: Client | None = None) -> None:
    """Create what is missing and bring the rest up to date; limits are raised, never lowered.

    Safe to repeat, and for several processes at once.

    `nc` is a host or operator of `CITY`; `apps`, where given, the `feed-admin` of `APPS`, for the apps' copy of FEED.
    Raises `SetupError` for another number of shards than the city was created with, and where the server refuses.
    """
    for config in topology.streams():
        await _ensure(nc, config)
    if apps is not None:
        await _ensure(apps, topology.feed_mirror())


async def _ensure(nc: Client, config: dict[str, Any]) -> None:
    name = config["name"]
    try:
        try:
            found = (await request(nc, f"$JS.API.STREAM.INFO.{name}"))["config"]
        except JetStreamApiError as error:
            if error.code != _NOT_FOUND:
                raise
            await when_settled(lambda: request(nc, f"$JS.API.STREAM.CREATE.{name}", config, CREATE_TIMEOUT_S / 3))
            return
        before, now = (c.get("metadata", {}).get("shards") for c in (found, config))
        if before != now:
            raise SetupError(f"{name} was created for {before} shards and cannot have {now}: set {before} shards")
        # Server-side metadata (`_nats.*`) and fields that we do not set stay as they are.
        wanted = {**found, **config, "metadata": {**found.get("metadata", {}), **config.get("metadata", {})}}
        if "persist_mode" not in found:  # JetStream lets it be chosen at creation only
            wanted.pop("persist_mode", None)
        # A lower limit than what is stored would stop a stream that refuses new messages.
        wanted["max_bytes"] = max(config["max_bytes"], found["max_bytes"])
        if wanted != found:
            await request(nc, f"$JS.API.STREAM.UPDATE.{name}", wanted, CREATE_TIMEOUT_S)
    except JetStreamApiError as error:
        raise SetupError(f"JetStream refuses the stream {name}: {error}") from error


def table() -> str:
    """`RETENTION` as a Markdown table."""
    rows = ["| stream | listens on | limit (MB) | when full | duplicate window | why |", "|---|---|---|---|---|---|"]
    rows += [
        f"| `{r.streams}` | `{r.listens}` | {r.max_mb:,} | {r.when_full} | {r.duplicates} | {r.why} |"
        for r in RETENTION.values()
    ]
    return "\n".join(rows) + "\n"
