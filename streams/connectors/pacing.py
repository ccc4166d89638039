"""How fast recorded input is replayed: at recorded speed, N times as fast, or as fast as possible."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """`speed` times the recorded speed; None is as fast as possible. Raises `ValueError` for a speed of 0 or less."""

    speed: float | None = 1.0

    def __post_init__(self) -> None:
        if self.speed is not None and not self.speed > 0:
            raise ValueError("the speed of a replay must be above 0")

    def due_s(self, time: int, first: int) -> float:
        """Seconds from the start of the replay until an event of `time` (µs), when the recording began at `first`."""
        return 0.0 if self.speed is None else (time - first) / 1e6 / self.speed

    def shift(self, first: int, last: int, now: int) -> int:
        """What to add to recorded times (µs) so that none lies ahead of the moment at which it is sent.

        At recorded speed or slower the recording begins now; faster, its last event is sent at its own time, so that
        all of it lies just behind the clock, with the gaps as recorded.
        """
        if self.speed is not None and self.speed <= 1.0:
            return now - first
        return now + round(self.due_s(last, first) * 1e6) - last


async def paced(
    slices: Iterable[tuple[int, T]],
    pace: Pace,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> AsyncIterator[T]:
    """Yield each slice when its time (µs, ascending) has come.

    `clock` is monotonic seconds, `sleep` waits some. A consumer that is slower than the pace gets the slices late, in
    order and without further waits, until it has caught up.
    """
    start, first = clock(), None
    for time, item in slices:
        first = time if first is None else first
        if (wait := start + pace.due_s(time, first) - clock()) > 0:
            await sleep(wait)
        yield item


def slices(readings: pa.Table, slice_s: float) -> Iterator[tuple[int, pa.Table]]:
    """Cut readings, ordered by time, into slices of `slice_s` seconds: (time of the last row in µs, the rows).

    Slices without a row are left out. The time is the last row's, so that nothing is sent before it happened.
    """
    if not readings.num_rows:
        return
    times = readings["time"].cast(pa.int64()).to_numpy()
    numbers = (times - times[0]) // round(slice_s * 1e6)
    ends = [*(numbers[1:] != numbers[:-1]).nonzero()[0].tolist(), len(times) - 1]
    begin = 0
    for end in ends:
        yield int(times[end]), readings.slice(begin, end + 1 - begin)
        begin = end + 1


def shifted(readings: pa.Table, by: int) -> pa.Table:
    """The same readings with `by` µs added to their times."""
    column = readings.schema.get_field_index("time")
    field = readings.schema.field(column)
    moved = pc.add(readings["time"].cast(pa.int64()), pa.scalar(by, pa.int64())).cast(field.type)
    return readings.set_column(column, field, moved)
