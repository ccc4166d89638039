"""The state of one catalogue shard: datasets with the versions of their rows. Times are µs UTC."""

from dataclasses import dataclass, field

import orjson

from actors.digest import AdditiveDigest, Key
from schemas.catalogue import Opened, Refresh
from schemas.dataset import Dataset


def object_of(dataset: str, digest: str) -> str:
    """The name of the object that holds rows or findings of a dataset (Parquet)."""
    return f"datasets/{dataset}/{digest}.parquet"


@dataclass(slots=True)
class Version:
    """One version of a dataset's rows, from `since` until the next one's."""

    refresh: Refresh
    since: int


@dataclass(slots=True)
class Known:
    """One dataset. `seen_at` is when its source last answered, `late_since` the moment that a refresh was due."""

    facts: Dataset
    registered_at: int
    modified_at: int
    versions: list[Version] = field(default_factory=list)
    opened: tuple[Opened, ...] = ()
    seen_at: int | None = None
    late_since: int | None = None
    down_since: int | None = None
    down_why: str | None = None
    columns_changed_at: int | None = None
    retired_at: int | None = None
    retired_why: str | None = None
    superseded_by: str | None = None

    @property
    def newest(self) -> Refresh | None:
        """The refresh whose rows are those of now."""
        return self.versions[-1].refresh if self.versions else None

    @property
    def objects(self) -> set[str]:
        """The digests of all objects that its versions name."""
        named = ((one.refresh.version, one.refresh.listing) for one in self.versions)
        return {digest for pair in named for digest in pair if digest is not None}


@dataclass(slots=True)
class State:
    """A shard."""

    datasets: dict[str, Known] = field(default_factory=dict)
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)

    def touch(self, dataset: str) -> None:
        """Note that a dataset changed."""
        self.digest.touch(("dataset", dataset, dataset))

    def canonical(self, key: Key) -> bytes:
        """Everything that a dataset's digest covers, as canonical JSON."""
        known = self.datasets[key[2]]
        fields: list[object] = [known.facts.model_dump_json(), known.registered_at, known.modified_at]
        fields += [[one.refresh.model_dump_json(), one.since] for one in known.versions]
        fields += [known.opened, known.seen_at, known.late_since, known.down_since, known.down_why]
        fields += [known.columns_changed_at, known.retired_at, known.retired_why, known.superseded_by]
        return orjson.dumps([*key, fields])
