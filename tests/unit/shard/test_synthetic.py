"""What is made up is labelled in the headers of LOG and FEED, whatever the event itself says."""

from typing import Any

import pytest

from actors.sighting.context import SightingContext
from schemas import facility as f
from schemas.road import FinishWork, MeasureSnow, StartWork
from streams.codec import SYNTHETIC, headers_of, log_head_of, record_of
from streams.feed import messages as feed_messages
from streams.log import read_batches
from tests.unit.facility.scenario import HIGH, City
from tests.unit.facility.scenario import T0 as NINE
from tests.unit.road.scenario import CONTEXT, at, clear, given, permit, road, snow
from tests.unit.shard.harness import World, ask, settle
from tests.unit.sighting import scenario as cameras

PLAIN = f.FacilityFacts(name_ko="소양2교", name_en="Soyang 2 Bridge", kind="bridge", grade="C")


def labels(city: City) -> dict[str, bool]:
    return {event.name: city.context.synthetic(city.state, event) for event in city.events}


def bridge(synthetic: bool) -> City:
    """A facility that is not synthetic itself, with one sensor."""
    city = City().given(f.RegisterFacility(at=NINE, by="test", facility="bridge-1", facts=PLAIN))
    facts = f.SensorFacts(kind="tilt", unit="mm", limits=(HIGH,), stale_after_s=60, synthetic=synthetic)
    return city.given(f.RegisterSensor(at=NINE, by="test", facility="bridge-1", sensor="tilt-1", facts=facts))


@pytest.mark.parametrize("synthetic", [True, False])
def test_all_that_a_sensor_leads_to_is_labelled_as_the_sensor_is(synthetic: bool) -> None:
    city = bridge(synthetic)
    found = labels(city)
    city.reads(("tilt-1", 1, 60.0))
    found |= labels(city)
    city.command(f.AcknowledgeAlarm, 2, alarm="tilt-1.high-warning.1", note="")
    found |= labels(city)
    city.reads(("tilt-1", 3, 1.0))
    found |= labels(city)
    city.tick(100)
    found |= labels(city)
    city.reads(("tilt-1", 101, 1.0))
    found |= labels(city)
    names = ["sensor-registered", "alarm-raised", "alarm-acknowledged", "alarm-returned", "alarm-cleared"]
    names += ["risk-level-changed", "sensor-stale", "sensor-restored"]
    assert found == dict.fromkeys(names, synthetic)


def test_one_synthetic_sensor_labels_the_risk_but_not_the_alarm_of_another() -> None:
    city = bridge(synthetic=False)
    made_up = f.SensorFacts(kind="tilt", unit="mm", synthetic=True)
    city.given(f.RegisterSensor(at=NINE, by="test", facility="bridge-1", sensor="tilt-2", facts=made_up))
    city.reads(("tilt-1", 1, 60.0))
    assert labels(city) == {"alarm-raised": False, "risk-level-changed": True}


def test_maintenance_is_labelled_as_its_facility_is() -> None:
    for city, synthetic in ((bridge(True), False), (City().bridge(HIGH), True)):
        city.command(f.BeginMaintenance, 1, reason="inspection")
        assert labels(city) == {"maintenance-begun": synthetic}


def road_labels(city: Any, command: Any) -> dict[str, bool]:
    return {event.name: CONTEXT.synthetic(city.state, event) for event in city.when(command).events}


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_work_and_the_status_that_it_changes_are_labelled_as_the_work_is(synthetic: bool) -> None:
    city = given(road(synthetic=False))
    assert road_labels(city, permit(synthetic=synthetic)) == {"work-permitted": synthetic}
    start = StartWork(**at(1), road="jungang-ro", work="gas-1")
    assert road_labels(city, start) == {"work-started": synthetic, "segment-status-changed": synthetic}
    finish = FinishWork(**at(9), road="jungang-ro", work="gas-1")
    assert road_labels(city, finish) == {"work-finished": synthetic, "segment-status-changed": synthetic}


def test_a_finished_synthetic_work_labels_nothing_that_happens_later() -> None:
    city = given(road(synthetic=False), permit(synthetic=True), permit("gas-2"))
    city.and_(*(kind(**at(1), road="jungang-ro", work="gas-1") for kind in (StartWork, FinishWork)))
    found = road_labels(city, StartWork(**at(2), road="jungang-ro", work="gas-2"))
    assert found == {"work-started": False, "segment-status-changed": False}


@pytest.mark.parametrize("synthetic", [True, False])
def test_clearing_is_labelled_as_the_newest_snow_is(synthetic: bool) -> None:
    city = given(road(synthetic=False), snow(0).model_copy(update={"synthetic": not synthetic}))
    newer = snow(60, "snow-2").model_copy(update={"synthetic": synthetic})
    assert road_labels(city, newer) == {"snow-began": synthetic}
    more = MeasureSnow(**at(61), road="jungang-ro", snow="snow-2", depth_cm=9)
    assert road_labels(city, more) == {"snow-measured": synthetic}
    found = road_labels(city, clear("cleared", 62))
    assert found == {"clearing-changed": synthetic, "segment-status-changed": synthetic}


def test_what_happens_to_a_synthetic_road_is_labelled() -> None:
    city = given()
    assert road_labels(city, road(synthetic=True)) == {"road-registered": True}
    assert road_labels(city, clear("snowed", 1)) == {"clearing-changed": True, "segment-status-changed": True}


def test_a_camera_is_labelled_too() -> None:
    context, state = SightingContext(), SightingContext().initial_state()
    events = context.decide(state, cameras.register())
    for event in events:
        context.evolve(state, event)
    assert [context.synthetic(state, event) for event in events] == [True]


async def test_the_label_goes_from_the_commit_through_the_log_to_the_feed_and_leaves_replay_as_it_was() -> None:
    world = World()
    first = await world.started()
    ask(first, "toy-1")
    ask(first, "real-1")
    await settle(first)
    (batch,) = [one async for one in read_batches(world.store, 1)]
    assert [record.headers for record in batch.events] == [{SYNTHETIC: "true"}, {}]
    for record in batch.events:
        stored = headers_of(log_head_of(record))
        assert record_of(record.subject, record.data, stored, 0, 0).headers == record.headers
    told = {message.headers["ce-subject"]: message.headers.get(SYNTHETIC) for message in feed_messages(batch)}
    assert told == {"toy-1": "true", "real-1": None}
    assert (await world.started()).state.domain == first.state.domain
