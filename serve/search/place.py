"""Which part of the sightings a search shard has, and what its actor is called."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Which part of the sightings a shard has: of `shards`, the log partitions p with p % shards == `number`.

    Copy 0 has the duties: it erases, and tells hits.
    """

    shards: int = 1
    number: int = 0
    copy: int = 0

    @property
    def name(self) -> str:
        """Of its actor and its folder."""
        return f"search-{self.shards}-{self.number}-{self.copy}"

    @classmethod
    def of(cls, name: str) -> "Place | None":
        """Inverse of `name`; None for a name of something else."""
        found = re.fullmatch(r"search-(\d+)-(\d+)-(\d+)", name)
        return None if found is None else cls(*map(int, found.groups()))

    def has(self, partition: int) -> bool:
        """Whether the sightings of a log partition are here."""
        return partition % self.shards == self.number
