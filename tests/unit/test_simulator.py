from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from actors.road.context import RoadContext
from schemas.base import micros
from schemas.errors import NotFoundError
from schemas.facility import SensorKind
from schemas.packs.load import load_pack
from schemas.road import BeginSnow, FinishWork, MeasureSnow, PermitWork, SegmentStatusChanged, SetClearing, StartWork
from schemas.tables import GOOD, READINGS
from streams.connectors.incidents import INCIDENTS, bridge_settlement, due, excavation, held, market_fire, snowfall
from streams.connectors.simulator import BEHAVIOUR, SimulatedCity
from streams.subjects import partition

PACK = load_pack("chuncheon")
NOON = datetime(2026, 7, 1, 3, tzinfo=UTC)
SEASONS = [datetime(2026, month, 20, tzinfo=UTC) for month in (1, 4, 7, 10)]


def city(**options):
    return SimulatedCity(PACK, seed=1, boot=100, **options)


def rows(batches):
    return pa.Table.from_batches(list(batches.values())).to_pylist()


def test_one_seed_gives_one_city():
    assert city().batches(NOON, 1.0, 3) == city().batches(NOON, 1.0, 3)
    assert city().batches(NOON, 1.0) != SimulatedCity(PACK, seed=2, boot=100).batches(NOON, 1.0)


def test_values_do_not_depend_on_how_time_is_cut():
    ten = city().values(micros(NOON) + 1_000_000 * np.arange(10))
    one_by_one = [city().values(np.array([micros(NOON) + 1_000_000 * second]))[0] for second in range(10)]

    np.testing.assert_allclose(ten, one_by_one, rtol=1e-12)


def test_every_sensor_speaks_once_a_sample_on_its_facility_s_subject():
    batches = city().batches(NOON, 1.0, 2)

    assert set(batches) == {f"city.raw.facility.{one.id}.readings" for one in PACK.facilities}
    assert all(batch.schema == READINGS for batch in batches.values())
    facility_of = {one.id: one.facility for one in PACK.sensors}
    for subject, batch in batches.items():
        assert {facility_of[row["sensor"]] for row in batch.to_pylist()} == {subject.split(".")[3]}
    assert len(rows(batches)) == 2 * 208
    assert {row["time"] for row in rows(batches)} == {NOON, NOON - timedelta(seconds=0.5)}
    assert {row["quality"] for row in rows(batches)} == {GOOD}


def test_a_gateway_sends_one_batch_for_each_partition():
    batches = city(shards=4).batches(NOON, 1.0)

    facility_of = {one.id: one.facility for one in PACK.sensors}
    assert len(batches) == 4
    assert sum(batch.num_rows for batch in batches.values()) == 208
    for subject, batch in batches.items():
        _, _, _, speaker, kind = subject.split(".")
        assert kind == "gw-simulator"
        owners = {partition(facility_of[row["sensor"]], 4) for row in batch.to_pylist()}
        assert owners == {partition(speaker, 4)}
    assert {one.facts.gateway for one in PACK.sensors} == {"simulator"}


def test_sequences_count_on_and_a_restart_continues_them():
    first = city()
    assert {row["sequence"] for row in rows(first.batches(NOON, 1.0, 2))} == {1, 2}
    assert {row["sequence"] for row in rows(first.batches(NOON, 1.0))} == {3}

    resumed = SimulatedCity(PACK, seed=1, boot=first.boot, sequence=first.sequence)
    assert {(row["boot"], row["sequence"]) for row in rows(resumed.batches(NOON, 1.0))} == {(100, 4)}


def test_every_kind_of_sensor_has_a_behaviour():
    assert set(BEHAVIOUR) == set(get_args(SensorKind))


@pytest.mark.parametrize("day", SEASONS, ids=lambda day: f"{day:%b}")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_quiet_day_reaches_no_limit(day, seed):
    times = micros(day) + 20_000_000 * np.arange(24 * 180)
    values = SimulatedCity(PACK, seed, boot=1).values(times)

    assert not trips(values, limit_rows("high"), np.greater_equal)
    assert not trips(values, limit_rows("low"), np.less_equal)


def test_a_quiet_hour_at_one_hertz_reaches_no_limit_of_rate():
    values = city().values(micros(NOON) + 1_000_000 * np.arange(3600))

    assert limit_rows("rate")
    assert not trips(np.abs(np.diff(values, axis=0)), limit_rows("rate"), np.greater_equal)


def limit_rows(condition):
    return [
        (column, limit.on)
        for column, sensor in enumerate(PACK.sensors)
        for limit in sensor.facts.limits
        if limit.condition == condition
    ]


def trips(values, limits, beyond):
    return [PACK.sensors[column].id for column, on in limits if beyond(values[:, column], on).any()]


def test_days_are_warmer_than_nights_and_traffic_shakes_bridges():
    midnight, afternoon, rush = (micros(NOON) + 3_600_000_000 * hours for hours in (12, 3, -3.5))
    values = dict(
        zip(("night", "day", "rush"), city().values(np.array([midnight, afternoon, rush]).astype(int)), strict=True)
    )
    column = {sensor.id: index for index, sensor in enumerate(PACK.sensors)}
    temperature, vibration = column["soyang-2-bridge-temperature"], column["soyang-2-bridge-vibration"]

    assert values["day"][temperature] > values["night"][temperature] + 5
    assert values["rush"][vibration] > values["night"][vibration] + 0.5


@pytest.mark.parametrize(
    ("incident", "kinds"),
    [(bridge_settlement, {"tilt", "crack-width"}), (market_fire, {"smoke", "temperature", "carbon-monoxide", "flame"})],
)
def test_an_incident_outlasts_the_delay_of_danger_within_a_minute_and_then_ends(incident, kinds):
    steps = incident(PACK, NOON)
    seconds = range(66)
    lifted = {name for step in steps for name in step.readings}
    sensors = [one for one in PACK.sensors if one.id in lifted]

    assert {one.facts.kind for one in sensors} == kinds
    for sensor in sensors:
        for limit in (one for one in sensor.facts.limits if one.condition == "high"):
            beyond = [
                second for second in seconds if limit.on <= held(steps, second).get(sensor.id, 0.0) <= sensor.facts.high
            ]
            assert beyond, sensor.id
            assert beyond[0] + limit.on_delay_s < min(beyond[-1], 60)
    assert held(steps, 66) == {}


def test_an_incident_lifts_the_readings_of_its_sensors_alone():
    steps = market_fire(PACK, NOON)
    quiet = {row["sensor"]: row["value"] for row in rows(city().batches(NOON, 1.0))}
    burning = {row["sensor"]: row["value"] for row in rows(city().batches(NOON, 1.0, at_least=held(steps, 30)))}

    changed = {name for name in quiet if quiet[name] != burning[name]}
    assert changed == set(held(steps, 30))
    assert all(burning[name] > quiet[name] for name in changed)


def test_snow_falls_everywhere_then_clears_by_rank():
    commands = due(snowfall(PACK, NOON), -1, 120)
    roads = {one.id for one in PACK.roads}

    assert {one.road for one in commands if isinstance(one, BeginSnow)} == roads
    depths = [one.depth_cm for one in commands if isinstance(one, BeginSnow | MeasureSnow) and one.road == "jungang-ro"]
    assert depths == [1.0, 3.5, 6.0]
    rank = {one.id: one.facts.rank for one in PACK.roads}
    cleared = [rank[one.road] for one in commands if isinstance(one, SetClearing) and one.state == "cleared"]
    assert cleared == sorted(cleared)
    assert len(cleared) == sum(len(one.facts.segments) for one in PACK.roads)
    assert [one.at for one in commands] == sorted(one.at for one in commands)


def test_each_segment_is_planned_then_under_way_then_cleared():
    states = [
        one.state
        for one in due(snowfall(PACK, NOON), -1, 120)
        if isinstance(one, SetClearing) and one.segment == "jungang-ro-1"
    ]

    assert states == ["planned", "under-way", "cleared"]


def test_an_excavation_closes_a_segment_within_a_minute():
    steps = excavation(PACK, NOON, road="gongji-ro")
    permit, start = due(steps, -1, 60)

    assert isinstance(permit, PermitWork)
    assert (permit.road, permit.impact, permit.synthetic) == ("gongji-ro", "all-lanes-closed", True)
    assert isinstance(start, StartWork)
    assert start.at == NOON + timedelta(seconds=5) == permit.window.start
    assert [type(one) for one in due(steps, 60, 120)] == [FinishWork]


def test_incidents_know_their_names_and_refuse_unknown_places():
    assert set(INCIDENTS) == {"bridge-settlement", "market-fire", "snowfall", "excavation"}
    with pytest.raises(NotFoundError):
        bridge_settlement(PACK, NOON, facility="seobu-market")
    with pytest.raises(NotFoundError):
        excavation(PACK, NOON, road="no-such-road")


@pytest.fixture
def roads():
    context = RoadContext()
    state = context.initial_state()

    def play(commands):
        events = []
        for command in commands:
            for event in context.decide(state, command):
                context.evolve(state, event)
                events.append(event)
        return events

    assert play(command for command in PACK.commands(NOON, "tests") if command.context == "road")
    return play


def test_loading_the_pack_s_roads_again_changes_nothing(roads):
    assert roads(command for command in PACK.commands(NOON, "again") if command.context == "road") == []


def test_the_city_s_roads_take_the_excavation_and_a_segment_closes(roads):
    events = roads(due(excavation(PACK, NOON), -1, 60))

    closed = [one for one in events if isinstance(one, SegmentStatusChanged)]
    assert [(one.segment, one.status) for one in closed] == [("jungang-ro-1", "closed")]


def test_after_the_snowfall_every_segment_is_open_again(roads):
    events = roads(due(snowfall(PACK, NOON), -1, 120))

    last = {one.segment: one.status for one in events if isinstance(one, SegmentStatusChanged)}
    assert len(last) == sum(len(one.facts.segments) for one in PACK.roads)
    assert set(last.values()) == {"open"}
