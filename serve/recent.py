"""What was used most lately stays in memory, up to so many bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Values by key; the one unused for longest is forgotten first. The newest stays, however large it is."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._bytes, self._max = 0, max_bytes

    def get(self, key: Hashable) -> V | None:
        """The value; None where it is not there, or no longer."""
        if (found := self._kept.get(key)) is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep a value of about `size` bytes."""
        self._bytes += size - self._kept.pop(key, (None, 0))[1]
        self._kept[key] = value, size
        while self._bytes > self._max and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1]
