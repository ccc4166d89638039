"""The state of one population shard: sources with their days. Times are µs UTC."""

from dataclasses import dataclass, field
from datetime import date

import orjson
import pyarrow as pa

from actors.digest import AdditiveDigest, Key
from schemas.population import DayFacts, SourceFacts

NEWEST = 2
"""The version of the fold: since 2 it keeps why a source was retired."""


@dataclass(slots=True)
class Day:
    """What was told last of a day, and the blocks that earlier tellings of it named, oldest first."""

    facts: DayFacts
    recorded_at: int
    recorded_by: str
    earlier: tuple[str, ...] = ()


@dataclass(slots=True)
class Source:
    """One source with its days; `retired_why` is known of those that were retired under version 2 of the fold."""

    facts: SourceFacts
    registered_at: int
    retired_at: int | None = None
    retired_why: str | None = None
    days: dict[date, Day] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """A shard. `version`: the rules that hold, as each claim and commit of the log says."""

    version: int = NEWEST
    sources: dict[str, Source] = field(default_factory=dict)
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def touch(self, source: str, day: date | None = None) -> None:
        """Note that a source, or a day of it, changed: its hash and its tables no longer hold."""
        self.tables.pop("sources", None)
        if day is None:
            self.digest.touch(("source", source, source))
        else:
            self.digest.touch(("day", source, day.isoformat()))
            self.tables.pop("days", None)

    def canonical(self, key: Key) -> bytes:
        """Everything that an entity's digest covers, as canonical JSON."""
        kind, source_id, entity = key
        source = self.sources[source_id]
        if kind == "source":
            fields: list[object] = [source.facts.model_dump_json(), source.registered_at, source.retired_at]
            fields += [] if source.retired_why is None else [source.retired_why]
        else:
            day = source.days[date.fromisoformat(entity)]
            fields = [day.facts.model_dump_json(), day.recorded_at, day.recorded_by, day.earlier]
        return orjson.dumps([*key, fields])
