"""What the facility context makes of the simulated city and of the recorded bridge."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from actors.context import Observed
from actors.facility.context import FacilityContext
from schemas.base import micros
from schemas.facility import AlarmRaised, RiskLevelChanged
from schemas.packs.load import load_pack
from streams.connectors import openlab
from streams.connectors.incidents import bridge_settlement, held, market_fire
from streams.connectors.simulator import SimulatedCity
from streams.log import Position

PACK = load_pack("chuncheon")
NOON = datetime(2026, 7, 1, 3, tzinfo=UTC)
REAL = (
    Path(os.environ.get("BOMNAE_SHARED", "../shared"))
    / "data/sensors/openlab_bridge/openlab_tidy_every10th_derived.csv"
)


class Facilities:
    """One shard that owns all facilities."""

    def __init__(self, commands):
        self.context = FacilityContext()
        self.state = self.context.initial_state()
        self.position = Position()
        self.rejections = []
        assert self.play(commands)

    def play(self, commands):
        events = []
        for command in commands:
            for event in self.context.decide(self.state, command):
                self.context.evolve(self.state, event)
                events.append(event)
        return events

    def receive(self, batches, at):
        messages = []
        for number, (subject, batch) in enumerate(batches.items(), self.position.sequence + 1):
            _, _, _, entity, kind = subject.split(".")
            messages.append(Observed(number, entity, kind, micros(at), {}, encoded(batch)))
        outcome = self.context.observe(self.state, messages, self.position, 999)
        assert outcome.end == Position(messages[-1].sequence)
        self.position = outcome.end
        self.rejections += outcome.rejections
        return outcome.events


def encoded(readings):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, readings.schema) as writer:
        writer.write(readings)
    return sink.getvalue().to_pybytes()


def city_commands():
    return [command for command in PACK.commands(NOON, "tests") if command.context == "facility"]


def run(facilities, seconds, incident=(), shards=4):
    city = SimulatedCity(PACK, seed=1, boot=1, shards=shards)
    events = []
    for second in range(seconds):
        at = NOON + timedelta(seconds=second)
        events += facilities.receive(city.batches(at, 1.0, at_least=held(incident, second)), at)
    return events


@pytest.mark.parametrize("shards", [None, 4], ids=["devices", "gateway"])
def test_quiet_minutes_raise_nothing_and_nothing_is_rejected(shards):
    facilities = Facilities(city_commands())

    assert run(facilities, 120, shards=shards) == []
    assert facilities.rejections == []


def test_loading_the_pack_s_facilities_again_changes_nothing():
    facilities = Facilities(city_commands())

    assert facilities.play(city_commands()) == []


@pytest.mark.parametrize(
    ("incident", "kinds"),
    [(bridge_settlement, {"tilt", "crack-width"}), (market_fire, {"smoke", "temperature", "carbon-monoxide", "flame"})],
)
def test_an_incident_brings_its_facility_into_danger_within_a_minute(incident, kinds):
    events = run(Facilities(city_commands()), 60, incident(PACK, NOON))

    kind_of = {one.id: one.facts.kind for one in PACK.sensors}
    dangers = [one for one in events if isinstance(one, AlarmRaised) and one.level == "danger"]
    assert {kind_of[one.sensor] for one in dangers} == kinds
    assert all(one.synthetic for one in dangers)
    assert [one.risk for one in events if isinstance(one, RiskLevelChanged)][-1] == "danger"
    assert len({one.facility for one in events}) == 1


@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
def test_the_recorded_load_test_raises_its_alarms_once_however_often_it_is_replayed():
    facilities = Facilities(openlab.commands(NOON, "tests"))
    subject = f"city.raw.facility.{openlab.FACILITY}.readings"

    def replay():
        pieces = openlab.chunks(openlab.read(REAL), 5000)
        return [event for piece in pieces for event in facilities.receive({subject: piece.combine_chunks()}, NOON)]

    first, second = replay(), replay()

    raised = Counter((one.sensor, one.level) for one in first if isinstance(one, AlarmRaised))
    assert raised["openlab-laser-4", "danger"] == 3
    assert {sensor for sensor, level in raised if level == "danger"} == {
        "openlab-strain", "openlab-force-north", "openlab-force-south", "openlab-laser-4",
    }  # fmt: skip
    assert second == []
    assert facilities.rejections == []
