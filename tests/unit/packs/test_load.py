import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import PackError
from schemas.facility import RegisterFacility, RegisterSensor
from schemas.packs.load import load_pack
from schemas.road import RegisterRoad
from schemas.sighting import RegisterCamera

TINYTOWN = Path(__file__).parent / "tinytown"
NOON = datetime(2026, 1, 1, 3, tzinfo=UTC)


def test_another_city_is_another_folder():
    pack = load_pack(TINYTOWN)

    assert [type(command) for command in pack.commands(NOON, "tests")] == [
        RegisterFacility, RegisterFacility, RegisterSensor, RegisterSensor, RegisterRoad, RegisterCamera,
        RegisterCamera,
    ]  # fmt: skip
    assert {command.at for command in pack.commands(NOON, "tests")} == {NOON}
    assert pack.roads[0].facts.segments[0].line == ((127.5, 37.5), (127.501, 37.5), (127.502, 37.501))
    assert pack.roads[0].facts.segments[1].line == ()
    assert pack.facilities[1].address == "작은도시 큰길 1, 2층"


def test_synthetic_facts_are_marked_where_they_show():
    pack = load_pack(TINYTOWN)
    bridge, market = (facility.facts for facility in pack.facilities)

    assert bridge.position is not None
    assert (bridge.synthetic, bridge.position.synthetic) == (False, True)
    assert (market.synthetic, market.position) == (True, None)
    assert [sensor.facts.synthetic for sensor in pack.sensors] == [False, True]
    assert pack.roads[0].facts.synthetic


def test_cameras_of_an_area_are_searched_together_unless_a_group_is_named():
    first, second = (camera.facts for camera in load_pack(TINYTOWN).cameras)

    assert (first.group, first.retention_days, first.silent_after_s, first.synthetic) == ("area-1", 7, 60, False)
    assert (second.group, second.retention_days, second.silent_after_s, second.synthetic) == ("station", 30, 600, True)
    assert first.position.synthetic


def test_a_pack_need_not_have_cameras(tmp_path):
    folder = shutil.copytree(TINYTOWN, tmp_path / "pack")
    (folder / "cameras.csv").unlink()

    assert load_pack(folder).cameras == ()


def test_loading_twice_gives_equal_commands():
    assert load_pack(TINYTOWN).commands(NOON, "tests") == load_pack(TINYTOWN).commands(NOON, "tests")


@pytest.mark.parametrize(
    ("file", "old", "new", "refusal"),
    [
        ("facilities.csv", "bridge,C", "brigde,C", (2, "kind: Input should be 'bridge'")),
        ("facilities.csv", "corner-market,", "old-bridge,", (3, "'old-bridge' stands in line 2 already")),
        ("facilities.csv", "127.5,37.5,1", "127.5,97.5,1", (2, "lat: Input should be less than or equal to 90")),
        ("facilities.csv", "127.5,37.5,1", "127.5,,1", (2, "a position needs both")),
        ("facilities.csv", "127.5,37.5,1", "127.5,37.5,7", (2, "there is no area '7'")),
        ("facilities.csv", '"작은도시 큰길 1, 2층"', "작은도시 큰길 1, 2층", (3, "quote a cell that holds a comma")),
        ("facilities.csv", ",position,", ",positoin,", (2, "synthetic: Input should be 'watched'")),
        ("sensors.csv", "crack,old-bridge", "crack,new-bridge", (2, "there is no facility 'new-bridge'")),
        ("sensors.csv", ",smoke,", ",smok,", (3, "there is no profile 'smok'")),
        ("sensors.csv", "corner-market-smoke", "Corner Smoke", (3, "sensor: String should match pattern")),
        ("profiles.csv", "crack-width,mm", "crack,mm", (2, "kind: Input should be 'vibration'")),
        ("profiles.csv", ",20,", ",wide,", (2, "high: Input should be a valid number")),
        ("limits.csv", "0.3,0.28", "0.3,0.38", (2, "must lie at or below its on value")),
        ("limits.csv", "0.3,0.28", "0.6,0.28", (2, "a warning must come before its danger")),
        ("limits.csv", "0.3,0.28", "nan,0.28", (2, "on: Input should be a finite number")),
        ("limits.csv", "crack,high,danger", "crack,high,warning", (3, "stands in line 2 already")),
        ("limits.csv", ",5,10,", ",-5,10,", (4, "on_delay_s: Input should be greater than or equal to 0")),
        ("roads.csv", ",107,", ",199,", (2, "rank: Input should be '101'")),
        ("roads.csv", "made for tests\n", "made for tests\nno-road,길,Road,107,,test\n", (3, "has no segment")),
        ("segments.csv", "127.5 37.5; 127.501", "127.5 37.5 127.501", (2, "a line is two or more points")),
        ("segments.csv", "big-road-2,big-road", "big-road-2,small-road", (3, "there is no road 'small-road'")),
        ("cameras.csv", "127.5,37.5,1", "127.5,37.5,7", (2, "there is no area '7'")),
        ("cameras.csv", ",7,60,", ",31,60,", (2, "retention_days: Input should be less than or equal to 30")),
        ("cameras.csv", "camera name position", "camera nmae", (3, "synthetic: Input should be 'camera'")),
        ("areas.csv", "1,하나동", "one,하나동", (2, "code: String should match pattern")),
        ("pack.yaml", "Asia/Seoul", "Asia/Soul", (4, "timezone: not an IANA time zone")),
        ("pack.yaml", '  attribution: "made for tests"', "  credit: none", (5, "boundaries: Field required")),
        ("pack.yaml", "city: tinytown", "city: [tinytown", (2, "not readable as YAML")),
    ],
)
def test_a_violation_names_file_and_line(tmp_path, file, old, new, refusal):
    folder = shutil.copytree(TINYTOWN, tmp_path / "pack")
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(PackError) as refused:
        load_pack(folder)

    line, says = refusal
    assert (refused.value.file, refused.value.line) == (file, line)
    assert says in refused.value.reason


def test_a_missing_file_is_named(tmp_path):
    folder = shutil.copytree(TINYTOWN, tmp_path / "pack")
    (folder / "limits.csv").unlink()

    with pytest.raises(PackError, match=r"limits\.csv:0: a pack needs this file"):
        load_pack(folder)


def test_polygons_come_with_their_attribution(tmp_path):
    square = '{"type":"Polygon","coordinates":[[[127,37],[128,37],[128,38],[127,37]]]}'
    path = tmp_path / "areas.geojson"
    path.write_text(f'{{"features":[{{"properties":{{"code":"1"}},"geometry":{square}}}]}}')

    polygons = load_pack(TINYTOWN).polygons(path)

    assert polygons.attribution == "made for tests"
    assert polygons.areas["1"]["type"] == "Polygon"


def test_a_boundary_file_without_an_area_of_the_pack_is_refused(tmp_path):
    path = tmp_path / "areas.geojson"
    path.write_text('{"features":[]}')

    with pytest.raises(PackError, match="holds no polygon for 1 하나동"):
        load_pack(TINYTOWN).polygons(path)
