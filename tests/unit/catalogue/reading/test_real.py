"""The city's own files, as they were published, dirt and all."""

import json
import os
from pathlib import Path

import pytest

from actors.catalogue.reading.city import City
from actors.catalogue.reading.read import read
from schemas.dataset import Layout, Shapes
from tests.unit.catalogue.reading.declared import PLACE, dataset, found

SHARED = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason=f"needs {SHARED}")
BOUNDARY = "boundaries/chuncheon_emd_202104.geojson"
LON, LAT = ("lon", "number", "경도"), ("lat", "number", "위도")
GRID = Shapes(column="geometry", crs="EPSG:5179")


@pytest.fixture(scope="module")
def city():
    features = json.loads((SHARED / BOUNDARY).read_bytes())["features"]
    return City.of([one["geometry"] for one in features])


@pytest.fixture
def load(city):
    def loaded(path, declared):
        form = "geojson" if path.endswith(".geojson") else "csv"
        return read((SHARED / path).read_bytes(), Layout(format=form), declared, city)

    return loaded


def counted(loaded):
    return {(kind, column): rows for kind, column, _, rows in loaded.summary.rows() if kind != "extra-column"}


STOPS = dataset(("id", "text", "관리번호"), LON, LAT, ("day", "date", "데이터기준일"), key=("id",), geometry=PLACE)
LAMPS = dataset(("id", "text", "가로등위치"), LON, LAT, ("n", "integer", "설치개수"), key=("id",), geometry=PLACE)
BENCHES = dataset(("n", "integer", "개수"), LON, LAT, ("day", "date", "기준일자"), geometry=PLACE)
SHADES = dataset(
    ("id", "text", "관리번호"), ("road", "text", "도로명주소"), ("day", "date", "데이터기준일자"), key=("id",)
)
MARKETS = dataset("name", ("shops", "integer"), ("lon", "number"), ("lat", "number"), key=("name",), geometry=PLACE)
ROUTES = dataset(("r", "text", "노선"), ("n", "integer", "정류장순서"), LON, LAT, key=("r", "n"), geometry=PLACE)
AREAS = dataset(("id", "text", "adm_cd2"), "geometry", key=("id",), geometry=Shapes(column="geometry"))
LINES = dataset(("length_m", "number"), "geometry", geometry=Shapes(column="geometry"))
ACCESS = dataset("gid", "geometry", ("fire", "number", "value_소방서"), key=("gid",), geometry=GRID)
SCORES = dataset("gid", ("slope", "number", "경사도_score"), ("no", "integer", ""), key=("gid",))
BRIDGE = dataset(
    ("at", "time", "time_utc"), ("bad", "boolean", "laser_obstructed"), ("mm", "number", "laser1_mm"), "run"
)
CALLS = dataset(
    ("key", "integer", "Unique Key"),
    ("created", "time", "Created Date"),
    ("lon", "number", "Longitude"),
    ("lat", "number", "Latitude"),
    key=("key",),
    geometry=PLACE,
    inside=False,
)
PLOUGHS = dataset(
    "asset_id", ("t", "time", "timestamp_utc"), ("lon", "number"), ("lat", "number"), geometry=PLACE, inside=False
)
SERIES = dataset(("timestamp", "time"), ("value", "number"), key=("timestamp",))
BUDGET = dataset(("year", "integer"), ("debt", "number", "debt_100m_won"), key=("year",))
TAGO = dataset("route_id", "first_time", ("day", "date", "lookup_date"), key=("route_id",))


@pytest.mark.parametrize(
    ("path", "declared", "rows", "findings"),
    [
        ("facilities/chuncheon_bus_stops_20260326.csv", STOPS, 1_890, {("outside", "lon"): 50}),
        ("facilities/chuncheon_streetlights_20260610.csv", LAMPS, 13_713, {("outside", "lon"): 5}),
        ("facilities/chuncheon_benches_20260601.csv", BENCHES, 681, {}),
        ("facilities/chuncheon_heat_shades_20260610.csv", SHADES, 306, {}),
        ("facilities/chuncheon_traditional_markets.csv", MARKETS, 7, {}),
        ("facilities/chuncheon_500m_grid_access_time.csv", ACCESS, 4_465, {}),
        ("facilities/chuncheon_500m_grid_drainage_slope.csv", SCORES, 1_259, {}),
        ("transit/chuncheon_bus_route_stops_20260326.csv", ROUTES, 16_168, {("outside", "lon"): 189}),
        ("transit/chuncheon_bus_routes_tago_20260721.csv", TAGO, 224, {}),
        ("finance/chuncheon_fiscal_2018_2024.csv", BUDGET, 7, {}),
        ("sensors/openlab_bridge/openlab_tidy_every10th_derived.csv", BRIDGE, 13_001, {}),
        ("sensors/nab_cloudwatch/ec2_cpu_utilization_24ae8d.csv", SERIES, 4_032, {}),
        ("snow/chicago_plow_gps_20161217_18.csv", PLOUGHS, 5_420, {}),
        ("calls/nyc311_20220501_924.csv", CALLS, 924, {}),
        (BOUNDARY, AREAS, 25, {}),
        ("roads/chuncheon_bus_segments_derived.geojson", LINES, 2_360, {("outside", "geometry"): 39}),
        ("roads/chuncheon_streetlight_chains_derived.geojson", LINES, 745, {}),
    ],
)
def test_each_file_loads_in_full_with_what_is_known_to_be_wrong_with_it(load, path, declared, rows, findings):
    loaded = load(path, declared)

    assert (loaded.received, len(loaded.rows), counted(loaded)) == (rows, rows, findings)


def test_three_longitudes_of_the_terminals_are_mended(load):
    declared = dataset(
        ("no", "integer", "순번"), LON, LAT, ("foreign", "boolean", "외국어지원여부"), key=("no",), geometry=PLACE
    )

    loaded = load("facilities/chuncheon_bus_info_terminals_20251114.csv", declared)

    assert found(loaded, "extra-column") == [
        (row, "lon", "mended", "mended", text)
        for row, text in [(323, "?127.718577"), (326, "?127.756817"), (327, "?127.757124")]
    ]
    assert loaded.rows["foreign"].sum() == 199


@pytest.mark.parametrize(("area", "kind"), [((), "repeated"), ((("area", "text", "읍면동"),), "conflicting")])
def test_cells_on_a_border_count_once(load, area, kind):
    declared = dataset("gid", "geometry", ("people", "integer", "총인구"), *area, key=("gid",), geometry=GRID)

    loaded = load("population/chuncheon_500m_grid_final.csv", declared)

    assert (loaded.received, len(loaded.rows), loaded.rows["people"].sum()) == (5_399, 4_741, 284_978)
    assert counted(loaded)[kind, "gid"] == 658


def test_the_boardings_were_cut_by_a_spreadsheet(load):
    declared = dataset(("day", "date", "수집일자"), ("hour", "integer", "이용시간대"), ("n", "integer", "승차건수"))

    loaded = load("population/chuncheon_bus_hourly_boardings_20251209.csv", declared)

    assert len(loaded.rows) == 65_535
    assert found(loaded, "extra-column") == [(None, None, "cut", "kept", "65,535")]


def test_of_a_street_side_that_comes_twice_the_newest_state_counts(load):
    declared = dataset(
        ("side", "text", "cote_rue_id"),
        ("state", "integer", "etat_deneig"),
        ("at", "time", "date_maj"),
        key=("side",),
        newest="at",
    )

    loaded = load("snow/montreal_planif_neige_20251226T222249.csv", declared)

    assert (loaded.received, len(loaded.rows)) == (11_365, 11_323)
    assert counted(loaded) == {("conflicting", "side"): 42}
