"""How long a shard lets readings gather before it folds them, and how its process gives memory back."""

import ctypes

import pyarrow as pa

LONGEST_S = 0.1
"""As long as states are published at most that often, nobody sees readings later for it."""
_WORTH = 10
"""How many times the cost of a digest is spent on waiting: a digest then takes a tenth of the time at most."""


def gathering_s(messages: int, most: int, folding_s: float, digest_s: float) -> float:
    """Seconds to wait after a commit of nothing but `messages` of input, of `most` that it could have taken.

    A commit costs a digest of all sensors however few have spoken. Where that takes much longer than folding, fewer
    and larger commits leave the processor and the disk to others; a shard that is behind does not wait.
    """
    if messages >= most // 4:
        return 0.0
    return min(max(_WORTH * digest_s - folding_s, 0.0), LONGEST_S)


def give_back() -> None:
    """Return memory that is free inside the process to the system, after something large was dropped; some ms.

    Arrow's pool keeps what it had for the next time, and so does the C library where a small piece lies behind.
    """
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
