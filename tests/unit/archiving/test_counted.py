"""What the fold tells the archive: each reading that counted, once, with the value and quality that it counted with."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facility as f
from schemas.base import micros
from schemas.tables import BAD, GOOD
from tests.unit.facility.scenario import City, at


def told(city: City) -> list[tuple[str, int, float]]:
    counted = city.context.counted(city.state)
    return [] if counted is None else [(one["sensor"], one["sequence"], one["value"]) for one in counted.to_pylist()]


def listening() -> City:
    city = City().bridge().bridge(sensor="tilt-2")
    assert city.context.counted(city.state) is None
    return city


def test_readings_are_told_in_the_order_of_the_stream_and_once():
    city = listening()
    city.reads(("tilt-2", 1, 5.0), ("tilt-1", 2, 6.0), ("tilt-2", 3, 7.0))
    assert told(city) == [("tilt-2", 0, 5.0), ("tilt-1", 0, 6.0), ("tilt-2", 1, 7.0)]
    assert told(city) == []


def test_what_comes_twice_or_is_refused_is_not_told():
    city = listening()
    city.reads(("tilt-1", 1, 5.0, 7), ("tilt-1", 1, 5.0, 7), ("nobody", 1, 1.0, 0), ("tilt-1", 2, float("nan"), 8))
    assert told(city) == [("tilt-1", 7, 5.0)]


def test_values_are_those_that_counted_and_bad_ones_are_told_as_bad():
    city = listening()
    city.command(f.CalibrateSensor, sensor="tilt-1", gain=2.0, offset=1.0)
    city.bridge(sensor="tilt-3", high=10.0)
    city.reads(("tilt-1", 1, 5.0), ("tilt-3", 2, 11.0), arrived=3)
    first, second = city.context.counted(city.state).to_pylist()
    assert (first["value"], first["quality"], first["facility"]) == (11.0, GOOD, "bridge-1")
    assert (second["value"], second["quality"], micros(second["arrived"])) == (11.0, BAD, micros(at(3)))
    assert first["synthetic"], "the bridge of this scenario is marked synthetic"


def test_without_anybody_who_asks_nothing_is_kept():
    city = City().bridge()
    city.reads(("tilt-1", 1, 5.0))
    assert city.state.counted is None


@settings(max_examples=40)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["tilt-1", "tilt-2"]), st.integers(0, 9), st.integers(0, 70)), max_size=40),
    cuts=st.sets(st.integers(1, 39)),
)
def test_any_division_into_messages_tells_the_same(rows, cuts):
    readings = [(sensor, float(n), float(value), sequence) for n, (sensor, value, sequence) in enumerate(rows)]
    whole, parts = listening(), listening()
    if readings:
        whole.reads(*readings, arrived=60)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(readings)], strict=True):
        if readings[start:end]:
            parts.reads(*readings[start:end], arrived=60)
    assert told(whole) == told(parts)
