"""Cameras as a search needs them: retention, and when they were silent. Times are µs UTC."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.sighting import MAX_RETENTION_DAYS, CameraFacts

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard from `since` on; `until` None: it lasts."""

    since: int
    until: int | None = None

    def within(self, start: int, end: int, now: int) -> int:
        """How much of a window it takes."""
        return max(0, min(end, self.until if self.until is not None else now) - max(start, self.since))


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera; immutable, so that a search may read while the log is followed."""

    facts: CameraFacts
    silences: tuple[Silence, ...] = ()

    @property
    def retention_us(self) -> int:
        """How long its sightings may be found."""
        return self.facts.retention_days * DAY_US

    def silent(self, since: int) -> "Camera":
        """It fell silent."""
        if any(one.since == since for one in self.silences):
            return self
        return Camera(self.facts, (*self.silences, Silence(since)))

    def restored(self, until: int) -> "Camera":
        """It is heard again; what no window of the retention can reach is forgotten."""
        ended = tuple(one if one.until is not None else Silence(one.since, until) for one in self.silences)
        kept = tuple(one for one in ended if one.until is None or one.until > until - MAX_RETENTION_DAYS * DAY_US)
        return Camera(self.facts, kept)


def floors(cameras: Mapping[str, Camera], asked: frozenset[str] | None, start: int, now: int) -> dict[str, int]:
    """Of the permitted cameras whose retention ends inside the window: before which moment each shows nothing."""
    names = cameras.keys() if asked is None else cameras.keys() & asked
    return {name: bound for name in names if (bound := now - cameras[name].retention_us) > start}
