"""Cameras as a search needs them: retention, and when nothing of them can be found. Times are µs UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from schemas.sighting import MAX_RETENTION_DAYS, CameraFacts

DAY_US = 86_400_000_000

Span = tuple[int, int]
"""From a moment until another."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard from `since` on; `until` None: it lasts."""

    since: int
    until: int | None = None

    def within(self, start: int, end: int) -> Span:
        """Its part of a window; empty or upside down where it has none."""
        return max(start, self.since), end if self.until is None else min(end, self.until)


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera; immutable, so that a search may read while the log is followed.

    `since`: its registration, or its first sighting where that is earlier (recordings are). `erased` are the windows of
    its erasures.
    """

    facts: CameraFacts
    silences: tuple[Silence, ...] = ()
    since: int = 0
    erased: tuple[Span, ...] = ()

    @property
    def retention_us(self) -> int:
        """How long its sightings may be found."""
        return self.facts.retention_days * DAY_US

    def silent(self, since: int) -> "Camera":
        """It fell silent."""
        if any(one.since == since for one in self.silences):
            return self
        return replace(self, silences=(*self.silences, Silence(since)))

    def restored(self, until: int) -> "Camera":
        """It is heard again; what no window of the retention can reach is forgotten."""
        ended = tuple(one if one.until is not None else Silence(one.since, until) for one in self.silences)
        kept = tuple(one for one in ended if one.until is None or one.until > until - MAX_RETENTION_DAYS * DAY_US)
        return replace(self, silences=kept)

    def lost(self, start: int, end: int, now: int, gaps: Iterable[Span] = ()) -> int:
        """How much of a window, as far as it has passed, the search cannot show.

        Before the camera was there, before its retention, while it was silent, erased windows, and `gaps` (blocks that
        nobody finds); each moment counts once.
        """
        end = min(end, now)
        floor = max(self.since, now - self.retention_us)
        if floor <= start and not self.silences and not self.erased and not gaps:
            return 0
        spans = [(start, floor), *(one.within(start, end) for one in self.silences), *self.erased, *gaps]
        total, reached = 0, start
        for first, last in sorted(spans):
            total += max(0, min(last, end) - max(first, reached))
            reached = max(reached, min(last, end))
        return total


def floors(cameras: Mapping[str, Camera], asked: frozenset[str] | None, start: int, now: int) -> dict[str, int]:
    """Of the permitted cameras whose retention ends inside the window: before which moment each shows nothing."""
    names = cameras.keys() if asked is None else cameras.keys() & asked
    return {name: bound for name in names if (bound := now - cameras[name].retention_us) > start}
