"""The state of one road shard: roads with their segments, works and snow events. Times are µs UTC."""

from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
import pyarrow as pa

from actors.digest import AdditiveDigest, Key
from schemas.base import micros
from schemas.road import (
    ClearingChanged,
    ClearingRow,
    ClearingState,
    Rank,
    SegmentFacts,
    SegmentStatus,
    WorkPermitted,
    WorkState,
)

NEVER = -(2**63)
NEWEST = 2
"""The newest version of the fold. What 2 brought: since when a segment is uncleared, over all stages of the work."""
STAGES: tuple[ClearingState, ...] = ("bare", "snowed", "planned", "under-way", "cleared")
UNCLEARED: tuple[ClearingState, ...] = ("snowed", "planned", "under-way")


class Clearing(NamedTuple):
    """What a source said of a segment. Of two reports the greater counts, so the order of arrival does not matter.

    The later `changed_at` is the greater. At the same moment it is the later stage of the work (`STAGES`): work goes
    forward, so of two changes within a second the further one came second. What is left (window, words of the source)
    has no meaning to decide by and is compared as it stands.
    """

    changed_at: int = NEVER
    stage: int = 0
    window: tuple[int, ...] = ()
    source: str = ""
    source_state: str = ""

    @property
    def state(self) -> ClearingState:
        """The stage by its name."""
        return STAGES[self.stage]

    @classmethod
    def of(cls, row: ClearingRow | ClearingChanged) -> "Clearing":
        """The report that a row of a feed, a command or a stored event makes."""
        window = (micros(row.window.start), micros(row.window.end)) if row.window else ()
        return cls(micros(row.changed_at), STAGES.index(row.state), window, row.source, row.source_state)


NO_REPORT = Clearing()


@dataclass(slots=True)
class Segment:
    """A segment and what is known of it. `works` are the ids of the started works that hinder traffic on it, sorted.

    `uncleared_since`: the first report, of those heard in turn, that it is uncleared; the stages behind it keep it.
    """

    road: str
    facts: SegmentFacts
    clearing: Clearing = NO_REPORT
    uncleared_since: int | None = None
    last_cleared_at: int | None = None
    works: tuple[str, ...] = ()
    status: SegmentStatus = "open"
    status_since: int | None = None


@dataclass(slots=True)
class Work:
    """A work from its permit on; `window_end` moves with extensions."""

    permit: WorkPermitted
    window_end: int
    state: WorkState = "permitted"
    extensions: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    early_s: float | None = None
    late_s: float | None = None


@dataclass(slots=True)
class Snow:
    """A snow event on one road. Events may overlap: a district's own and the city's."""

    first_depth_cm: float
    depth_cm: float
    began_at: int
    synthetic: bool
    ended_at: int | None = None


@dataclass(slots=True)
class Road:
    """A road; `segments` are ids in the order of the road."""

    name_ko: str
    name_en: str
    rank: Rank
    synthetic: bool
    segments: list[str] = field(default_factory=list)
    works: dict[str, Work] = field(default_factory=dict)
    snow: dict[str, Snow] = field(default_factory=dict)


@dataclass(slots=True)
class Cache:
    """Published tables, as far as they still hold: whole ones by name, of segments also the parts by road."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    facts: dict[str, pa.Table] = field(default_factory=dict)
    rows: dict[str, pa.Table] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """A shard. `lagging` are segments whose announced status is no longer the one that works and snow imply.

    `version` is the fold version whose rules hold now: the log tells which.
    """

    roads: dict[str, Road] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    lagging: set[str] = field(default_factory=set)
    version: int = NEWEST
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)
    cache: Cache = field(default_factory=Cache)

    def touch(self, kind: str, road: str, entity: str) -> None:
        """Note that an entity (`road`, `segment`, `work`, `snow`) changed: its hash and its tables no longer hold."""
        self.digest.touch((kind, road, entity))
        self.cache.tables.pop(_TABLE[kind], None)
        if kind in {"road", "segment"}:
            self.cache.rows.pop(road, None)
            self.cache.tables.pop("segments", None)
        if kind == "road":
            self.cache.facts.pop(road, None)

    def canonical(self, key: Key) -> bytes:
        """Everything that an entity's digest covers, as canonical JSON."""
        kind, road_id, entity = key
        road = self.roads[road_id]
        match kind:
            case "road":
                fields: list[object] = [road.name_ko, road.name_en, road.rank, road.synthetic, road.segments]
            case "segment":
                known = self.segments[entity]
                fields = [known.facts.model_dump_json(), tuple(known.clearing), known.last_cleared_at, known.status]
                fields.append(known.status_since)
                fields += [] if known.uncleared_since is None else [known.uncleared_since]
            case "work":
                work = road.works[entity]
                fields = [work.permit.model_dump_json(), work.window_end, work.state, work.extensions]
                fields += [work.started_at, work.finished_at, work.early_s, work.late_s]
            case _:
                fields = [road.snow[entity]]
        return orjson.dumps([*key, fields])


_TABLE = {"road": "roads", "segment": "segments", "work": "works", "snow": "snow"}
