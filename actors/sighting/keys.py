"""64-bit keys of sighting ids, and which of them are known: without a Python loop over rows."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_SEED, _STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_FINAL = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(32)


def keys_of(ids: pa.Array) -> U8:
    """A 64-bit key per id: multiply and xor-shift over its bytes, eight at a time, zeros behind the last.

    The same on every machine, for ever: keys stand in the log. Not for secrets, and not against an adversary: a camera
    that makes two of its own ids collide loses one of its own sightings.
    """
    raw = ids.cast(pa.large_binary())
    count = len(raw)
    if not count:
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(raw.buffers()[1], np.int64)[raw.offset : raw.offset + count + 1]
    sizes = np.diff(offsets)
    words = (sizes + 7) // 8
    longest = max(1, int(words.max()))
    # Each id in a row of its own, padded with zeros.
    text = np.zeros((count, longest * 8), np.uint8)
    filled = np.arange(longest * 8) < sizes[:, None]
    data = raw.buffers()[2]
    if data is not None:
        text[filled] = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    matrix = text.view("<u8")
    found = sizes.astype(np.uint64) * _SEED
    for word in range(longest):
        mixed = (found ^ matrix[:, word]) * _STEP
        found = np.where(word < words, mixed ^ (mixed >> _SHIFT), found)
    for factor in _FINAL:
        found = (found ^ (found >> np.uint64(33))) * factor
    return found ^ (found >> np.uint64(33))


class Seen:
    """A set of keys as a few sorted arrays, each more than twice as long as the next: log-structured, 9 bytes a key."""

    def __init__(self) -> None:
        self._levels: list[tuple[U8, Mask]] = []

    def __len__(self) -> int:
        return sum(int(alive.sum()) for _, alive in self._levels)

    def contains(self, keys: U8) -> Mask:
        """Which of the keys are in the set."""
        found = np.zeros(len(keys), bool)
        for level, alive in self._levels:
            found |= _within(level, alive, keys)[0]
        return found

    def add(self, keys: U8) -> None:
        """Add keys that are not in the set."""
        if not len(keys):
            return
        level, alive = np.sort(keys), np.ones(len(keys), bool)
        while self._levels and len(self._levels[-1][0]) <= 2 * len(level):
            last, living = self._levels.pop()
            # A stable sort merges two sorted runs in linear time.
            level = np.sort(np.concatenate([last[living], level[alive]]), kind="stable")
            alive = np.ones(len(level), bool)
        self._levels.append((level, alive))

    def remove(self, keys: U8) -> None:
        """Take keys out; those that are not in the set are passed over."""
        for level, alive in self._levels:
            there, places = _within(level, alive, keys)
            alive[places[there]] = False
        self._levels = [(level, alive) for level, alive in self._levels if alive.any()]


def _within(level: U8, alive: Mask, keys: U8) -> tuple[Mask, NDArray[np.intp]]:
    places = np.minimum(np.searchsorted(level, keys), len(level) - 1)
    return (level[places] == keys) & alive[places], places
