import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas.errors import InvalidError
from schemas.facility import RegisterFacility, RegisterSensor
from schemas.tables import BAD, GOOD, READINGS
from streams.connectors import openlab
from streams.connectors.pacing import Pace, shifted, slices

REAL = (
    Path(os.environ.get("BOMNAE_SHARED", "../shared"))
    / "data/sensors/openlab_bridge/openlab_tidy_every10th_derived.csv"
)
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
HEAD = (
    "time_utc,t1,strain_um_m,force_N_kN,force_A_kN,crack_disp_mm,temp_bridge_C,temp_ambient_C,laser1_mm,laser2_mm,"
    "laser3_mm,laser4_mm,laser5_mm,force_sum_kN,u_target_mm,laser_obstructed,run\n"
)
SOUND = "2025-05-06T08:43:51.000Z,0.0,-0.5,1,2,0,11,13,-1,0,3,5,1,3,5,0,a\n"
FAULTY = "2025-05-06T08:43:52.000Z,1.0,-0.5,-1000000,2,0,11,13,-1,0,3,104.2,1,3,5,1,a\n"


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "openlab.csv"
    path.write_text(HEAD + SOUND + FAULTY)
    return path


def test_the_bridge_is_registered_with_eleven_recorded_sensors():
    facility, *sensors = openlab.commands(datetime(2026, 1, 1, tzinfo=UTC), "replay")

    assert isinstance(facility, RegisterFacility)
    assert facility.facts.name_en == "openLAB research bridge (TU Dresden)"
    assert len(sensors) == 11
    assert all(isinstance(one, RegisterSensor) and one.facts.recorded and not one.facts.synthetic for one in sensors)
    assert "10.25532/OPARA-852" in openlab.ATTRIBUTION
    assert "CC BY-SA 4.0" in openlab.ATTRIBUTION


def test_readings_come_in_order_of_time_with_the_row_as_sequence(small):
    readings = openlab.read(small)

    assert readings.schema == READINGS
    assert readings["sequence"].to_pylist() == [1] * 11 + [2] * 11
    assert readings["sensor"].to_pylist() == [one.sensor for one in openlab.CHANNELS] * 2
    assert readings["time"][11].as_py() == datetime(2025, 5, 6, 8, 43, 52, tzinfo=UTC)
    assert readings["value"].to_pylist()[:3] == [-0.5, 1.0, 2.0]


def test_a_fault_is_bad_for_the_instrument_that_has_it_and_no_other(small):
    readings = openlab.read(small)

    bad = readings.filter(pc.equal(readings["quality"], BAD))
    assert bad["sensor"].to_pylist() == ["openlab-force-north", "openlab-laser-4"]
    assert bad["sequence"].to_pylist() == [2, 2]


def test_an_empty_cell_is_no_reading(tmp_path):
    path = tmp_path / "openlab.csv"
    path.write_text(HEAD + SOUND + FAULTY.replace("-0.5", ""))

    assert openlab.read(path).num_rows == 21


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")

    with pytest.raises(InvalidError, match="not the tidy table"):
        openlab.read(path)
    with pytest.raises(InvalidError, match="not the tidy table"):
        openlab.read(tmp_path / "missing.csv")


def test_chunks_keep_every_row_in_order(small):
    readings = openlab.read(small)

    pieces = list(openlab.chunks(readings, 5))

    assert [piece.num_rows for piece in pieces] == [5, 5, 5, 5, 2]
    assert pa.concat_tables(pieces).equals(readings)


@needs_real
def test_the_real_file_gives_every_channel_of_every_second():
    readings = openlab.read(REAL)

    assert readings.num_rows == 13_001 * 11
    assert pc.all(pc.greater_equal(pc.pairwise_diff(readings["time"].cast(pa.int64()).combine_chunks()), 0)).as_py()
    assert readings["sequence"][-1].as_py() == 13_001


@needs_real
def test_the_real_file_s_faults_are_the_obstructed_laser_and_the_load_cells():
    readings = openlab.read(REAL)
    bad = readings.filter(pc.equal(readings["quality"], BAD))["sensor"].value_counts().to_pylist()

    assert {one["values"]: one["counts"] for one in bad} == {
        "openlab-laser-4": 157, "openlab-force-north": 433, "openlab-force-south": 420,
    }  # fmt: skip


@needs_real
def test_the_real_load_test_passes_the_danger_limits_of_deflection_strain_and_force():
    readings = openlab.read(REAL)
    good = readings.filter(pc.equal(readings["quality"], GOOD))

    passed = set()
    for channel in openlab.CHANNELS:
        values = good.filter(pc.equal(good["sensor"].cast(pa.string()), channel.sensor))["value"]
        extremes = pc.min_max(values).as_py()
        for limit in channel.limits:
            if extremes["max"] >= limit.on if limit.condition == "high" else extremes["min"] <= limit.on:
                passed.add((channel.sensor, limit.level))
    assert {sensor for sensor, level in passed if level == "danger"} == {
        "openlab-strain", "openlab-force-north", "openlab-force-south", "openlab-laser-4",
    }  # fmt: skip
    assert ("openlab-laser-3", "warning") in passed


@needs_real
def test_a_shifted_replay_ends_at_its_clock_with_the_gaps_as_recorded():
    readings = openlab.read(REAL, boot=7)
    times = readings["time"].cast(pa.int64())
    now = 1_800_000_000_000_000
    by = Pace(None).shift(times[0].as_py(), times[-1].as_py(), now)

    moved = shifted(readings, by)

    assert moved.schema == READINGS
    assert moved["time"].cast(pa.int64())[-1].as_py() == now
    assert set(moved["boot"].unique().to_pylist()) == {7}
    assert sum(piece.num_rows for _, piece in slices(moved, 60)) == readings.num_rows
