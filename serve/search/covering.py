"""What an answer rests on, of what its shards say, and of what is known of those that said nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.base import micros
from schemas.person import Coverage, Lag
from schemas.road import Window
from serve.search.asking import Reply

BEHIND_S = 3.0
"""From when on a shard counts as behind: one that is well has taken everything a second ago, its look included."""
_HOUR_US = 3_600_000_000
_WHY = 200


@dataclass(frozen=True, slots=True)
class Away:
    """The shards that did not answer: how many, and how many cameras of those that are asked are theirs."""

    shards: int = 0
    cameras: int = 0


def covered(answered: Sequence[Sequence[Reply]], away: Away, window: Window, now: int) -> Coverage:
    """The coverage of an answer. Of a camera whose shard is away the whole window is missing, as far as it has passed.

    Each shard answers every model alike; cameras are the same for all of them, and none is in two shards.
    """
    firsts = [replies[0].rested for replies in answered if replies]
    every = [reply.rested for replies in answered for reply in replies]
    recalls = [one.recall for one in every if one.recall is not None]
    lost = sum(max(reply.rested.missing_us for reply in replies) for replies in answered if replies)
    lost += away.cameras * max(0, min(micros(window.end), now) - micros(window.start))
    return Coverage(
        shards=len(answered) + away.shards,
        shards_answered=len(answered),
        rows_permitted=sum(one.permitted for one in every),
        rows_scanned=sum(one.scanned for one in every),
        cameras=sum(one.cameras for one in firsts) + away.cameras,
        cameras_silent=tuple(sorted({name for one in firsts for name in one.silent})),
        hours_missing=lost / _HOUR_US,
        exact=all(one.exact for one in every),
        recall=min(recalls, default=None),
    )


def lag_of(answered: Sequence[Sequence[Reply]]) -> Lag | None:
    """How far the shards that answered are behind the log; None where none is."""
    behind = [replies[0].lag for replies in answered if replies and replies[0].lag.seconds > BEHIND_S]
    if not behind:
        return None
    worst = max(behind, key=lambda one: one.seconds)
    records = sum(one.records for one in behind)
    why = next((one.why for one in (worst, *behind) if one.why), "")
    return Lag(shards=len(behind), seconds=round(worst.seconds, 3), records=records, why=why[:_WHY])
