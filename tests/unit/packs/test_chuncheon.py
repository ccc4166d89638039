import itertools
import os
from collections import Counter
from pathlib import Path

import pytest

from schemas.packs.load import load_pack

BOUNDARIES = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data/boundaries/chuncheon_emd_202104.geojson"
PACK = load_pack("chuncheon")


def test_the_pack_has_the_size_of_the_city_s_programme():
    assert len(PACK.facilities) == 51
    assert len(PACK.sensors) == 208
    assert len(PACK.areas) == 25
    assert 55 <= len(PACK.roads) <= 65
    assert sum(facility.facts.kind == "market" for facility in PACK.facilities) == 7


def test_every_facility_has_sensors():
    assert set(Counter(sensor.facility for sensor in PACK.sensors)) == {one.id for one in PACK.facilities}


def test_every_sensor_is_watched_within_what_it_can_measure():
    for sensor in PACK.sensors:
        facts = sensor.facts
        assert facts.limits, sensor.id
        assert facts.low is not None, sensor.id
        assert facts.high is not None, sensor.id
        assert all(facts.low < limit.on < facts.high for limit in facts.limits if limit.condition != "rate")


def test_heat_and_smoke_in_a_market_must_last_five_seconds():
    markets = {one.id for one in PACK.facilities if one.facts.kind == "market"}
    fire = [one for one in PACK.sensors if one.facility in markets and one.facts.kind in {"smoke", "temperature"}]

    assert len(fire) == 21
    assert {limit.on_delay_s for sensor in fire for limit in sensor.facts.limits} == {5.0}


def test_no_sensor_or_road_passes_for_a_real_one():
    assert all(sensor.facts.synthetic for sensor in PACK.sensors)
    assert all(road.facts.synthetic for road in PACK.roads)
    assert all(facility.facts.synthetic for facility in PACK.facilities)


def test_only_the_listed_markets_stand_where_they_stand():
    sited = {one.id for one in PACK.facilities if one.facts.position and not one.facts.position.synthetic}

    assert sited == {one.id for one in PACK.facilities if one.facts.kind == "market"}


def test_the_cameras_are_as_many_as_the_city_has_at_as_many_places():
    places = {(one.facts.position.lon, one.facts.position.lat) for one in PACK.cameras}

    assert (len(PACK.cameras), len(places)) == (94, 45)
    assert all(one.facts.synthetic and one.facts.position.synthetic for one in PACK.cameras)
    assert all(one.facts.group == f"area-{one.facts.area}" for one in PACK.cameras)


def test_segments_of_a_road_join():
    for road in PACK.roads:
        stretches = road.facts.segments
        assert all(one.length_m and len(one.line) > 1 for one in stretches)
        assert all(a.line[-1] == b.line[0] for a, b in itertools.pairwise(stretches)), road.id


@pytest.mark.skipif(not BOUNDARIES.exists(), reason=f"needs {BOUNDARIES}")
def test_every_position_lies_in_its_area_and_every_road_in_the_city():
    polygons = PACK.polygons(BOUNDARIES)

    assert "CC BY 4.0" in polygons.attribution
    for facility in PACK.facilities:
        position = facility.facts.position
        assert position is not None
        assert covers(polygons.areas[facility.facts.area], position.lon, position.lat), facility.id
    for camera in PACK.cameras:
        assert covers(polygons.areas[camera.facts.area], camera.facts.position.lon, camera.facts.position.lat)
    for road in PACK.roads:
        for point in (point for stretch in road.facts.segments for point in stretch.line):
            assert any(covers(area, *point) for area in polygons.areas.values()), road.id


def covers(geometry, x, y):
    """Even-odd rule over all rings of a MultiPolygon."""
    crossings = 0
    for (x1, y1), (x2, y2) in (
        edge for polygon in geometry["coordinates"] for ring in polygon for edge in itertools.pairwise(ring)
    ):
        crossings += (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
    return crossings % 2 == 1
