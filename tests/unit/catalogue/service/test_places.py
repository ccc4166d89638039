"""Rows on a map: whole, in tiles, in a picture; and in a chart."""

import math

import numpy as np
import orjson
import polars as pl
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from schemas.dataset import Chart, Map
from schemas.errors import InvalidError
from serve.catalogue import drawn, geo
from serve.catalogue.rows import conformed
from serve.catalogue.taking import take
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import AREAS, BUILT, LAMPS, ROWS, SEEN, STOP, job, rows_of, stops

TABLE = rows_of(take(job(stops(), ROWS)))
COLUMNS = ["stop", "lamps", "seen"]
FINE = 3_000
"""Corners of the city's edge, of which a tile of a small zoom shows few."""


def areas():
    turn = np.linspace(0, 2 * np.pi, FINE, endpoint=False)
    edge = shapely.Polygon(np.column_stack([127.7 + 0.1 * np.cos(turn), 37.9 + 0.1 * np.sin(turn)]))
    clockwise = shapely.Polygon([(127.75, 37.9), (127.75, 37.95), (127.8, 37.95), (127.8, 37.9)])
    lines = "".join(f'{code},동{code},"{shape.wkt}"\n' for code, shape in (("1", edge), ("2", clockwise)))
    return rows_of(take(job(AREAS, "code,name,geometry\n" + lines + "3,모름,\n")))


def said(data):
    return orjson.loads(data)


def test_a_collection_is_geojson_with_null_for_what_has_no_place():
    found = said(geo.collection(TABLE, stops(), COLUMNS, {"attribution": "city"}))
    assert (found["type"], found["attribution"], len(found["features"])) == ("FeatureCollection", "city", 4)
    first, last = found["features"][0], found["features"][-1]
    assert first == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [127.7, 37.87]},
        "properties": {"stop": "A1", "lamps": 2, "seen": "2026-01-15T00:00:00.000000Z"},
    }
    assert last["geometry"] is None


def test_outer_rings_run_counterclockwise():
    shapes = [
        shapely.from_geojson(orjson.dumps(one["geometry"]))
        for one in said(geo.collection(areas(), AREAS, ["code"], {}))["features"][:2]
    ]
    assert all(shape.exterior.is_ccw for shape in shapes)


def test_without_rows_a_collection_and_a_tile_are_empty():
    for declared in (stops(), AREAS):
        empty = conformed(pl.DataFrame(), declared)
        assert said(geo.collection(empty, declared, ["name"], {}))["features"] == []
        assert said(geo.tile(empty, declared, ["name"], 0, 0, 0, 9))["features"] == []


def test_what_has_no_places_makes_no_map():
    for made in (lambda: geo.collection(TABLE, facts(), [], {}), lambda: geo.tile(TABLE, facts(), [], 0, 0, 0, 9)):
        with pytest.raises(InvalidError, match="makes no map"):
            made()


def tile_of(lon, lat, z):
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    return z, x, y


@given(st.floats(127.5, 128), st.floats(37.6, 38.2), st.integers(0, geo.DEEPEST))
def test_a_place_lies_in_its_tile_by_the_usual_formula(lon, lat, z):
    west, south, east, north = geo.bounds_of(*tile_of(lon, lat, z))
    near = 1e-9
    assert west - near <= lon <= east + near
    assert south - near <= lat <= north + near


@given(st.integers(0, 12).flatmap(lambda z: st.tuples(st.just(z), *[st.integers(0, 2**z - 1)] * 2)))
def test_the_four_tiles_below_one_cover_it(tile):
    z, x, y = tile
    west, south, east, north = geo.bounds_of(z, x, y)
    below = np.array([geo.bounds_of(z + 1, 2 * x + right, 2 * y + down) for right in (0, 1) for down in (0, 1)])
    assert np.allclose([*below[:, :2].min(0), *below[:, 2:].max(0)], (west, south, east, north))


def test_a_tile_holds_what_lies_in_it():
    found = said(geo.tile(TABLE, stops(), ["stop"], *tile_of(127.73, 37.88, 16), 9))
    assert [one["properties"]["stop"] for one in found["features"]] == ["A2"]
    assert found["left_out"] == 0
    assert said(geo.tile(TABLE, stops(), ["stop"], *tile_of(10, 10, 16), 9))["features"] == []


def test_of_too_many_in_a_tile_the_first_are_shown_and_the_rest_counted():
    found = said(geo.tile(TABLE, stops(), ["stop"], 0, 0, 0, 2))
    assert ([one["properties"]["stop"] for one in found["features"]], found["left_out"]) == (["A1", "A2"], 1)


def test_a_shape_is_cut_at_its_tile_and_simplified_to_its_pixels():
    tile = tile_of(127.62, 37.9, 12)
    west, south, east, north = geo.bounds_of(*tile)
    (feature,) = said(geo.tile(areas(), AREAS, ["code"], *tile, 9))["features"]
    shape, pixel = shapely.from_geojson(orjson.dumps(feature["geometry"])), (east - west) / 512
    grown = shapely.box(west - pixel, south - pixel, east + pixel, north + pixel)
    assert grown.buffer(pixel / 1e6).contains(shape)
    (whole,) = said(geo.tile(areas()[:1], AREAS, ["code"], *tile_of(127.7, 37.9, 7), 9))["features"]
    corners = shapely.get_num_coordinates(shapely.from_geojson(orjson.dumps(whole["geometry"])))
    assert 4 <= corners < FINE / 10


@pytest.mark.parametrize("tile", [(1, 2, 0), (1, 0, 2), (-1, 0, 0), (geo.DEEPEST + 1, 0, 0), (3, -1, 0), (0, 0, 1)])
def test_a_tile_that_there_is_not_is_told(tile):
    with pytest.raises(InvalidError, match="there is no tile"):
        geo.tile(TABLE, stops(), [], *tile, 9)


def values(made):
    return made["data"]["values"]


def test_a_chart_counts_sums_or_averages():
    counted = drawn.chart(TABLE, stops(chart=Chart(mark="bar", x="lit")), {"dataset": "stops"})
    assert [(one["x"], one["y"]) for one in values(counted)] == [(True, 2), (False, 1)]
    assert counted["usermeta"] == {"lineage": {"dataset": "stops"}}
    summed = drawn.chart(TABLE, stops(chart=Chart(mark="bar", x="lit", y="lamps", aggregate="sum")), {})
    assert {one["x"]: one["y"] for one in values(summed)} == {True: 2, False: 0}
    assert summed["encoding"]["y"]["title"] == "등 수 합계 · sum of Lamps (개)"
    averaged = drawn.chart(TABLE, stops(chart=Chart(mark="line", x="built", y="width", aggregate="mean")), {})
    assert [one["x"] for one in values(averaged)] == ["2019-12-31", "2020-01-02", "2021-03-04"]
    assert averaged["encoding"]["x"]["type"] == "temporal"


def test_a_sum_of_nothing_is_no_nought():
    nothing = TABLE.with_columns(pl.lit(None, pl.Int64).alias("lamps"))
    summed = drawn.chart(nothing, stops(chart=Chart(mark="bar", x="lit", y="lamps", aggregate="sum")), {})
    assert {one["y"] for one in values(summed)} == {None}


def test_the_times_of_a_chart_are_seouls():
    made = drawn.chart(
        TABLE, stops(chart=Chart(mark="point", x="seen", y="width", aggregate="none", colour="stop")), {}
    )
    assert [one["x"] for one in values(made)] == ["2026-01-15T09:00:00", "2026-01-15T10:00:00", "2026-01-14T09:00:00"]
    assert made["encoding"]["color"]["type"] == "nominal"


def test_a_dataset_without_a_chart_makes_none():
    with pytest.raises(InvalidError, match="no chart is declared"):
        drawn.chart(TABLE, facts(columns=(STOP, LAMPS)), {})


def test_a_picture_says_what_it_leaves_out():
    many = pl.concat([TABLE[:3]] * (drawn.MOST_MARKS // 3 + 1))
    made = drawn.picture(many, stops(synthetic=True), {})
    assert len(values(made)) == drawn.MOST_MARKS
    assert made["title"]["subtitle"][1:] == ["합성 자료 · synthetic data", "처음 5,000개 · the first 5,000 of 5,001"]


def test_a_picture_of_points_is_one_even_where_the_first_has_no_place():
    made = drawn.picture(TABLE.reverse(), stops(map=Map(label="name")), {})
    assert (made["mark"]["filled"], made["mark"].get("color"), len(values(made))) == (True, "#2f6fde", 3)
    solid = drawn.picture(areas().reverse(), AREAS, {})
    assert (solid["mark"]["filled"], solid["mark"]["stroke"], len(values(solid))) == (True, "#ffffff", 2)


@pytest.mark.parametrize("declared", [stops(), AREAS])
def test_a_picture_of_nothing_is_one(declared):
    for rows in (conformed(pl.DataFrame(), declared), conformed(TABLE[3:], declared)):
        assert values(drawn.picture(rows, declared, {})) == []


def test_a_picture_tells_apart_no_more_kinds_than_eyes_do():
    names = ["often"] * 5 + [f"S{number:02}" for number in range(55)]
    rows = pl.DataFrame({"stop": names, "_lon": [127.7] * 60, "_lat": [37.9] * 60})
    made = drawn.picture(rows, stops(map=Map(colour="stop")), {})
    kinds = {one["properties"]["colour"] for one in values(made)}
    assert kinds == {"often", "기타 other", *names[5 : 4 + drawn.MOST_KINDS]}


def test_a_column_of_days_is_a_text_in_a_picture():
    made = drawn.picture(TABLE, stops(map=Map(colour=BUILT.id, label=SEEN.id)), {})
    assert values(made)[0]["properties"]["colour"] == "2020-01-02"
