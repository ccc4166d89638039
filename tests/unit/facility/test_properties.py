"""No story of commands, readings and time reaches a forbidden state."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.facility.risk import level, reasons
from actors.facility.state import split_alarm_id
from schemas import facility as f
from schemas.errors import BomnaeError
from schemas.tables import PUBLISHED
from tests.unit.facility.scenario import BRIDGE, DANGER, HIGH, LOW, City, at, facts

SLOW = HIGH.model_copy(update={"on_delay_s": 2.0, "off_delay_s": 2.0})
LIMITS = [(), (HIGH,), (HIGH, DANGER), (SLOW, LOW), (f.Limit(condition="rate", level="danger", on=20, off=10),)]
ALARMS = [f"{sensor}.{slot}.{k}" for sensor in ("a", "b") for slot in ("high-warning", "high-danger") for k in (1, 2)]

steps = st.one_of(
    st.tuples(st.just("reading"), st.sampled_from("ab"), st.sampled_from([0.0, 47.0, 60.0, 90.0, -60.0])),
    st.tuples(st.just("tick"), st.integers(0, 90)),
    st.tuples(st.just(f.AcknowledgeAlarm), st.fixed_dictionaries({"alarm": st.sampled_from(ALARMS)})),
    st.tuples(st.just(f.ClearAlarm), st.fixed_dictionaries({"alarm": st.sampled_from(ALARMS)})),
    st.tuples(
        st.just(f.JudgeAlarm),
        st.fixed_dictionaries({"alarm": st.sampled_from(ALARMS), "verdict": st.sampled_from(["real", "false"])}),
    ),
    st.tuples(st.just(f.UnshelveAlarm), st.fixed_dictionaries({"alarm": st.sampled_from(ALARMS)})),
    st.tuples(
        st.just(f.ShelveAlarm),
        st.fixed_dictionaries(
            {"alarm": st.sampled_from(ALARMS), "until": st.integers(0, 60).map(at), "reason": st.just("x")}
        ),
    ),
    st.tuples(st.just(f.BeginMaintenance), st.just({"reason": "x"})),
    st.tuples(st.just(f.EndMaintenance), st.just({})),
    st.tuples(
        st.just(f.ChangeThresholds),
        st.fixed_dictionaries({"sensor": st.sampled_from("ab"), "limits": st.sampled_from(LIMITS)}),
    ),
    st.tuples(
        st.just(f.RegisterSensor),
        st.fixed_dictionaries(
            {"sensor": st.sampled_from("abc"), "facts": st.sampled_from([facts(*limits) for limits in LIMITS])}
        ),
    ),
    st.tuples(
        st.just(f.ReplaceSensor),
        st.fixed_dictionaries({"sensor": st.sampled_from("ab"), "serial": st.sampled_from(["1", "2"])}),
    ),
    st.tuples(
        st.just(f.CalibrateSensor),
        st.fixed_dictionaries({"sensor": st.sampled_from("ab"), "gain": st.sampled_from([1.0, 2.0])}),
    ),
    st.tuples(
        st.just(f.RegisterFacility),
        st.fixed_dictionaries({"facts": st.sampled_from([BRIDGE, BRIDGE.model_copy(update={"grade": "E"})])}),
    ),
)


def story(city: City, told: list[tuple[Any, ...]]) -> list[Any]:
    """Tell it step by step, checking after each; the events."""
    events: list[Any] = []
    for second, step in enumerate(told, start=1):
        match step:
            case ("reading", sensor, value):
                city.reads((sensor, second, value))
            case ("tick", later):
                city.tick(second + later)
            case (kind, fields):
                obey(city, kind, second, fields)
        events += city.events
        check(city)
    return events


def obey(city: City, kind: type[f.FacilityCommand], second: int, fields: dict[str, Any]) -> None:
    """Deciding changes nothing, and deciding what has happened gives nothing, or what is of no effect."""
    before, city.events = city.digest, []
    command = kind(at=at(second), by="officer", facility="bridge-1", **fields)
    try:
        city.context.decide(city.state, command)
    except BomnaeError:
        assert city.digest == before
        return
    assert city.digest == before
    city.do(command)
    if isinstance(command, f.JudgeAlarm) and command.alarm not in city.state.facilities["bridge-1"].alarms:
        assert city.digest == before, "the list forgot the alarm, and its verdict moves nothing"
    else:
        assert city.context.decide(city.state, command) == []


def check(city: City) -> None:
    for facility in city.state.facilities.values():
        assert facility.risk == level(facility)
        assert (facility.risk == "normal") == (reasons(facility, city.state.kind) == ())
        slots = [split_alarm_id(alarm)[:2] for alarm in facility.alarms]
        assert len(slots) == len(set(slots)), "one alarm per limit"
        for alarm in facility.alarms.values():
            assert alarm.state in {"active", "acknowledged", "returned"}
            assert (alarm.state == "returned") == (alarm.returned_at is not None)
            assert (alarm.state == "acknowledged") == (alarm.acknowledged_at is not None)
            assert (alarm.shelved_until is not None) == (alarm.id in city.state.shelved)
        open_slots = {split_alarm_id(alarm.id)[:2] for alarm in facility.alarms.values() if alarm.open}
        columns = city.state.columns
        latched = {(columns.ids[i], int(slot)) for i in facility.sensors for slot in columns.active[i].nonzero()[0]}
        assert open_slots <= latched, "an open alarm's condition holds"
        assert facility.maintenance or open_slots == latched, "what holds is raised, but in maintenance"
    tables = city.context.tables(city.state)
    assert {name: table.schema for name, table in tables.items()} == PUBLISHED["facility"]
    for table in tables.values():
        table.validate(full=True)


@settings(max_examples=150)
@given(told=st.lists(steps, max_size=30))
def test_no_story_reaches_a_forbidden_state(told: list[tuple[Any, ...]]) -> None:
    story(City().bridge(HIGH, DANGER, sensor="a", stale_after_s=20).bridge(SLOW, sensor="b"), told)


@settings(max_examples=60)
@given(told=st.lists(steps, max_size=20), more=st.lists(steps, max_size=8))
def test_a_snapshot_in_the_middle_changes_nothing(told: list[tuple[Any, ...]], more: list[tuple[Any, ...]]) -> None:
    one, other = (City().bridge(HIGH, DANGER, sensor="a", stale_after_s=20).bridge(SLOW, sensor="b") for _ in "12")
    story(one, told)
    story(other, told)
    dumped = other.context.dump(other.state)
    other.state = other.context.load(dumped)
    assert other.digest == one.digest
    assert story(other, more) == story(one, more)
    assert other.digest == one.digest
    assert all(
        table.equals(one.context.tables(one.state)[name]) for name, table in other.context.tables(other.state).items()
    )


def test_a_dump_shares_no_memory_with_the_state() -> None:
    city = City().bridge(HIGH)
    city.reads(("tilt-1", 1, 1.0))
    dumped, digest, seen = city.context.dump(city.state), city.digest, city.context.tables(city.state)["sensors"]
    city.reads(("tilt-1", 2, 60.0))
    assert city.context.digest(city.context.load(dumped)) == digest != city.digest
    assert seen.column("value").to_pylist() == [1.0]


def test_every_part_of_the_state_moves_the_digest() -> None:
    city = City().bridge(HIGH, unit="mm")
    city.reads(("tilt-1", 1, 60.0))
    columns, facility = city.state.columns, city.state.facilities["bridge-1"]
    seen = {city.digest}
    for array in columns.live().values():
        cell = array.reshape(-1)
        cell[0] = 8 if cell[0] == 7 else 7
        seen.add(city.digest)
    assert len(seen) == 1 + len(columns.live())
    before = len(seen)
    commands = [
        (f.CalibrateSensor, {"sensor": "tilt-1", "gain": 3.0}), (f.ReplaceSensor, {"sensor": "tilt-1", "serial": "2"}),
        (f.ChangeThresholds, {"sensor": "tilt-1", "limits": ()}), (f.BeginMaintenance, {"reason": "x"}),
        (f.RegisterFacility, {"facts": BRIDGE.model_copy(update={"name_ko": "다른 이름"})}),
        (f.RegisterSensor, {"sensor": "tilt-1", "facts": facts(name_ko="이름")}),
    ]  # fmt: skip
    for kind, fields in commands:
        assert city.command(kind, 2, **fields)
        seen.add(city.digest)
    assert len(seen) == before + len(commands)
    assert facility.maintenance
