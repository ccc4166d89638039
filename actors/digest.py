"""A digest of many entities that costs only what changed."""

from collections.abc import Callable
from hashlib import blake2b

Key = tuple[str, str, str]
"""What an entity is: its kind, the aggregate it belongs to (a road, a case), its id."""

_BITS = 128


class AdditiveDigest:
    """The sum, modulo 2^128, of one BLAKE2b hash per entity: the same for equal entities in any order of arrival.

    It guards against a fold that went another way, not against someone who forges a state on purpose.
    """

    def __init__(self) -> None:
        self._total = 0
        self._hashes: dict[Key, int] = {}
        self._touched: set[Key] = set()

    def touch(self, key: Key) -> None:
        """This entity is new or has changed since the last `hexdigest`."""
        self._touched.add(key)

    def drop(self, key: Key) -> None:
        """This entity is gone, as if it had never been."""
        self._touched.discard(key)
        self._total = (self._total - self._hashes.pop(key, 0)) % (1 << _BITS)

    def hexdigest(self, canonical: Callable[[Key], bytes]) -> str:
        """The digest now, 32 hex digits; `canonical` gives the bytes of an entity, asked of touched ones only."""
        for key in self._touched:
            value = int.from_bytes(blake2b(canonical(key), digest_size=_BITS // 8).digest())
            self._total = (self._total - self._hashes.get(key, 0) + value) % (1 << _BITS)
            self._hashes[key] = value
        self._touched.clear()
        return f"{self._total:032x}"
