"""A dataset as the catalogue shows it: what was declared, and how it stands now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.base import EntityId
from schemas.dataset import Dataset

Status = Literal["not-connected", "waiting", "fresh", "late", "down", "retired"]
"""`waiting`: connected and never refreshed. `late`: not refreshed in time. `down`: the provider does not answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset with its state; all times in UTC.

    `modified_at` is when anything of it last changed, `data_time` the newest moment that its rows speak of, `rows` how
    many it has, `completeness` the share of cells of its rows that are filled (0 to 1).
    """

    id: EntityId
    facts: Dataset
    status: Status
    registered_at: datetime
    modified_at: datetime
    refreshed_at: datetime | None = None
    data_time: datetime | None = None
    rows: int | None = None
    completeness: float | None = None
    columns_changed_at: datetime | None = None
    retired_at: datetime | None = None
    retired_reason: str | None = None
    superseded_by: EntityId | None = None
