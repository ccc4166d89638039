"""What shard hosts measure, declared once, and how code tells it without knowing who listens."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
"""Upper bounds of the histograms' buckets."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is exported, in seconds where it is a histogram; `says` is a line of the documentation.

    `prefix` is what Ray puts before its name, empty where it does not go through Ray.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    tags: tuple[str, ...] = ()
    prefix: str = "ray_"


RECONNECTS = Metric(
    "bomnae_nats_reconnects", "gauge", "times that a `process` had to connect to NATS again", ("process",)
)
"""Of every process that holds a connection."""
_SHARD = ("context", "shard")
METRICS = (
    Metric("bomnae_log_position", "gauge", "newest committed sequence of the shard's LOG", _SHARD),
    Metric("bomnae_ingest_position", "gauge", "sequence of INGEST up to which input is folded", _SHARD),
    Metric("bomnae_ingest_waiting", "gauge", "its lag: messages of INGEST that are not folded yet", _SHARD),
    Metric("bomnae_fold_lag_seconds", "histogram", "from arrival to commit, of the oldest input in a commit", _SHARD),
    Metric("bomnae_commits", "counter", "commits of the shard's owners", _SHARD),
    Metric("bomnae_commit_seconds", "histogram", "from sealing a batch to its place in LOG, retries included", _SHARD),
    Metric("bomnae_events", "counter", "events committed", _SHARD),
    Metric("bomnae_readings", "counter", "rows of input folded and committed", _SHARD),
    Metric("bomnae_rejections", "counter", "input written to REJECTED, one per message and reason", _SHARD),
    Metric(
        "bomnae_commands",
        "counter",
        "commands by `outcome`: `done`, `unchanged`, `repeated` (a known key), `refused` (by its rule)",
        (*_SHARD, "outcome"),
    ),
    Metric("bomnae_queue", "gauge", "commands that wait for the shard's next commit (503 from 10,000)", _SHARD),
    Metric("bomnae_feed_backlog", "gauge", "commits whose events are not on FEED yet (the shard waits at 64)", _SHARD),
    Metric("bomnae_snapshot_age_seconds", "gauge", "since the shard's state was last dumped, or taken over", _SHARD),
    RECONNECTS,
)
"""Of every host of shards; `serve.measuring` declares those of the API."""


def exported(metric: Metric) -> str:
    """The name under which Prometheus sees it."""
    return f"{metric.prefix}{metric.name}" + {"counter": "_total", "gauge": "", "histogram": "_bucket"}[metric.kind]


def reference(metrics: Iterable[Metric]) -> str:
    """The metrics as a Markdown table."""
    rows = [
        f"| `{exported(metric)}` | {metric.kind} | {', '.join(metric.tags)} | {metric.says} |" for metric in metrics
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


class Meters(Protocol):
    """Where measures go. Names and tags are those of a declared `Metric`."""

    def add(self, name: str, value: float = 1, **tags: str) -> None:
        """Raise a counter."""
        ...

    def put(self, name: str, value: float, **tags: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, name: str, value: float, **tags: str) -> None:
        """Count a value into a histogram."""
        ...


class Numbers:
    """Meters that keep plain numbers, by name and the values of the tags; of a histogram `_count` and `_sum`."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def add(self, name: str, value: float = 1, **tags: str) -> None:
        """See `Meters`."""
        key = (name, *tags.values())
        self.values[key] = self.values.get(key, 0) + value

    def put(self, name: str, value: float, **tags: str) -> None:
        """See `Meters`."""
        self.values[name, *tags.values()] = value

    def observe(self, name: str, value: float, **tags: str) -> None:
        """See `Meters`."""
        self.add(f"{name}_count", 1, **tags)
        self.add(f"{name}_sum", value, **tags)


class ShardMeter:
    """What the owner of one shard tells, under the shard's tags."""

    def __init__(self, meters: Meters, context: str, shard: int) -> None:
        self._meters, self._tags = meters, {"context": context, "shard": str(shard)}
        self._decided: Counter[str] = Counter()

    def decided(self, outcome: str) -> None:
        """One command more; told with the next commit, since commands come by the thousand."""
        self._decided[outcome] += 1

    def rejected(self, count: int) -> None:
        """So much input more that does not count."""
        self._meters.add("bomnae_rejections", count, **self._tags)

    def committed(self, events: int, rows: int, began: int, ended: int, arrived: int) -> None:
        """One commit more; times in µs, `arrived` that of its oldest input, 0 where it has none."""
        meters, tags = self._meters, self._tags
        meters.add("bomnae_commits", 1, **tags)
        meters.observe("bomnae_commit_seconds", (ended - began) / 1e6, **tags)
        if events:
            meters.add("bomnae_events", events, **tags)
        if rows:
            meters.add("bomnae_readings", rows, **tags)
        if arrived:
            meters.observe("bomnae_fold_lag_seconds", max(ended - arrived, 0) / 1e6, **tags)
        self._tell()

    def stands(self, **gauges: float) -> None:
        """How the shard stands now, by the gauges' names without `bomnae_`."""
        for name, value in gauges.items():
            self._meters.put(f"bomnae_{name}", value, **self._tags)
        self._tell()

    def _tell(self) -> None:
        decided, self._decided = self._decided, Counter()
        for outcome, count in decided.items():
            self._meters.add("bomnae_commands", count, **self._tags, outcome=outcome)
