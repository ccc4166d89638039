"""The state of one catalogue shard: datasets with the versions of their rows. Times are µs UTC."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
import pyarrow as pa

from actors.digest import AdditiveDigest, Key
from schemas.catalogue import Opened, Refresh
from schemas.dataset import Dataset


def object_of(dataset: str, refresh: Refresh) -> str:
    """The name of the object that holds the rows of a refresh (Parquet)."""
    return f"datasets/{dataset}/{refresh.version}-{refresh.token}.parquet"


def listing_of(dataset: str, refresh: Refresh) -> str | None:
    """The name of the object that lists the findings of a refresh (Parquet); None where there are none."""
    return None if refresh.listing is None else f"datasets/{dataset}/{refresh.listing}-{refresh.token}.parquet"


@dataclass(slots=True)
class Version:
    """One version of a dataset's rows, from `since` until `until`; None for the newest. Others may be forgotten."""

    refresh: Refresh
    since: int
    until: int | None = None
    _told: str = field(default="", repr=False, compare=False)

    @property
    def told(self) -> str:
        """The refresh as JSON, made once: it never changes, and a dataset may have thousands."""
        self._told = self._told or self.refresh.model_dump_json()
        return self._told

    def objects(self, dataset: str) -> Iterator[tuple[str, str]]:
        """Name and SHA-256 of its rows, and of its findings where there are any."""
        yield object_of(dataset, self.refresh), self.refresh.version
        if (listing := listing_of(dataset, self.refresh)) is not None and self.refresh.listing is not None:
            yield listing, self.refresh.listing


@dataclass(slots=True)
class Known:
    """One dataset. `seen_at` is when its source last answered, `late_since` the moment that a refresh was due.

    `seeded`: what it is was last said by a pack.
    """

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
    seeded: bool = False

    @property
    def newest(self) -> Refresh | None:
        """The refresh whose rows are those of now."""
        return self.versions[-1].refresh if self.versions else None

    def objects(self, dataset: str) -> dict[str, str]:
        """SHA-256 by name of all objects of its versions."""
        return {name: digest for one in self.versions for name, digest in one.objects(dataset)}


@dataclass(slots=True)
class State:
    """A shard."""

    datasets: dict[str, Known] = field(default_factory=dict)
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)
    tables: dict[str, tuple[pa.Table, pa.Table]] = field(default_factory=dict)
    """The published rows of each dataset, as far as they still hold."""

    def touch(self, dataset: str) -> None:
        """Note that a dataset changed: its hash and its rows no longer hold."""
        self.digest.touch(("dataset", dataset, dataset))
        self.tables.pop(dataset, None)

    def canonical(self, key: Key) -> bytes:
        """Everything that a dataset's digest covers, as canonical JSON."""
        known = self.datasets[key[2]]
        fields: list[object] = [known.facts.model_dump_json(), known.registered_at, known.modified_at]
        fields += [[one.told, one.since, one.until] for one in known.versions]
        fields += [known.opened, known.seen_at, known.late_since, known.down_since, known.down_why]
        fields += [known.columns_changed_at, known.retired_at, known.retired_why, known.superseded_by, known.seeded]
        return orjson.dumps([*key, fields])
