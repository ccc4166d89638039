import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.pacing import Pace, paced, slices

SECOND = 1_000_000


class Clock:
    """A clock that moves only while someone sleeps."""

    def __init__(self):
        self.now = 50.0
        self.waits = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


async def replay(pace, times):
    clock = Clock()
    seen = [
        (item, clock.now - 50.0) async for item in paced(((time, time) for time in times), pace, clock, clock.sleep)
    ]
    return seen, clock


async def test_recorded_speed_keeps_the_recorded_gaps():
    seen, _ = await replay(Pace(1.0), [10 * SECOND, 11 * SECOND, 14 * SECOND])

    assert [at for _, at in seen] == [0.0, 1.0, 4.0]


async def test_twice_the_speed_halves_the_gaps():
    seen, _ = await replay(Pace(2.0), [10 * SECOND, 11 * SECOND, 14 * SECOND])

    assert [at for _, at in seen] == [0.0, 0.5, 2.0]


async def test_as_fast_as_possible_never_waits():
    seen, clock = await replay(Pace(None), [10 * SECOND, 99 * SECOND])

    assert len(seen) == 2
    assert clock.waits == []


async def test_a_slow_consumer_catches_up_without_waiting():
    clock = Clock()
    seen = []
    async for item in paced(((second * SECOND, second) for second in range(5)), Pace(1.0), clock, clock.sleep):
        seen.append((item, clock.now - 50.0))
        if item == 0:
            clock.now += 2.5

    assert seen == [(0, 0.0), (1, 2.5), (2, 2.5), (3, 3.0), (4, 4.0)]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_goes_nowhere_is_refused(speed):
    with pytest.raises(ValueError, match="above 0"):
        Pace(speed)


@given(speed=st.none() | st.floats(0.01, 1000), offsets=st.lists(st.integers(0, 10**10), min_size=1).map(sorted))
def test_no_shifted_event_lies_ahead_of_the_moment_it_is_sent(speed, offsets):
    pace, now, first = Pace(speed), 10**15, 10**14
    times = [first + offset - offsets[0] for offset in offsets]
    by = pace.shift(times[0], times[-1], now)

    assert all(time + by <= now + pace.due_s(time, first) * 1e6 + 1 for time in times)


def test_slices_cut_at_even_times_and_leave_gaps_out():
    times = [0, SECOND // 2, SECOND, 5 * SECOND]
    table = pa.table({"time": pa.array(times, pa.timestamp("us", tz="UTC")), "value": [1.0, 2.0, 3.0, 4.0]})

    cut = [(time, rows["value"].to_pylist()) for time, rows in slices(table, 1.0)]

    assert cut == [(SECOND // 2, [1.0, 2.0]), (SECOND, [3.0]), (5 * SECOND, [4.0])]


def test_nothing_gives_no_slice():
    assert list(slices(pa.table({"time": pa.array([], pa.timestamp("us", tz="UTC"))}), 1.0)) == []
