import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from actors.catalogue.reading.city import City
from schemas.dataset import Points, Shapes
from tests.unit.catalogue.reading.declared import CITY, PLACE, dataset, found, from_csv

POINTS = dataset("k", ("lon", "number"), ("lat", "number"), geometry=PLACE)
INSIDE = (127.73, 37.88)


def places(loaded):
    return loaded.rows.select("_lon", "_lat").rows()


def test_a_point_outside_the_city_is_flagged_and_loads():
    loaded = from_csv("k,lon,lat\na,127.73,37.88\nb,126.98,37.57\n", POINTS)

    assert places(loaded) == [(127.73, 37.88), (126.98, 37.57)]
    assert found(loaded) == [(2, "lon", "outside", "kept", "126.98, 37.57")]


def test_coordinates_that_are_exchanged_are_put_right_in_their_columns_too():
    loaded = from_csv("k,lon,lat\na,37.88,127.73\n", POINTS)

    assert loaded.rows.select("lon", "lat", "_lon", "_lat").rows() == [INSIDE * 2]
    assert found(loaded) == [(1, "lon", "mended", "mended", "37.88, 127.73")]


@pytest.mark.parametrize("text", ["0,0", "200,37", "127.7,91"])
def test_a_place_that_cannot_be_is_emptied(text):
    loaded = from_csv(f"k,lon,lat\na,{text}\n", POINTS)

    assert loaded.rows.select("lon", "lat", "_lon", "_lat").rows() == [(None,) * 4]
    assert [one[:4] for one in found(loaded)] == [(1, "lon", "outside", "emptied")]


def test_half_a_place_is_none_and_told():
    loaded = from_csv("k,lon,lat\na,127.73,\nb,,\n", POINTS)

    assert places(loaded) == [(None, None)] * 2
    assert found(loaded) == [(1, "lon", "missing", "kept", "127.73, ")]


def test_a_dataset_that_reaches_beyond_the_city_has_nothing_outside():
    declared = dataset("k", ("lon", "number"), ("lat", "number"), geometry=PLACE, inside=False)

    assert found(from_csv("k,lon,lat\na,-73.9,40.8\n", declared)) == []


def test_without_bounds_no_place_is_outside():
    assert found(from_csv("k,lon,lat\na,-73.9,40.8\n", POINTS, City())) == []


def test_the_city_is_its_areas_and_not_the_box_around_them():
    areas = [shapely.box(127, 37, 127.5, 37.5), shapely.box(127.5, 37.5, 128, 38)]
    city = City.of([shapely.geometry.mapping(area) for area in areas])

    inside = city.holds(np.array([127.2, 127.7, 127.2, np.nan]), np.array([37.2, 37.7, 37.7, 37.2]))

    assert inside.tolist() == [True, True, False, False]


def test_a_city_without_areas_is_its_box():
    assert City.of([], (127.0, 37.0, 128.0, 38.0)).holds(np.array([127.5, 129]), np.array([37.5] * 2)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize("crs", ["EPSG:5179", "EPSG:5181", "EPSG:5186"])
@given(st.lists(st.tuples(st.floats(127.51, 128.0), st.floats(37.61, 38.09)), min_size=1, max_size=20))
@settings(max_examples=15)
def test_plane_coordinates_come_back_to_where_they_were_measured(crs, points):
    transformer = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    plane = [transformer.transform(*point) for point in points]
    declared = dataset(("x", "number"), ("y", "number"), geometry=Points(x="x", y="y", crs=crs))
    lines = [f"{x!r},{y!r}" for x, y in plane] + [f"{y!r},{x!r}" for x, y in plane]

    loaded = from_csv("x,y\n" + "\n".join(lines), declared)

    assert np.allclose(places(loaded), points * 2, atol=1e-8, rtol=0)
    exchanged = range(len(points) + 1, 2 * len(points) + 1)
    assert [one[:4] for one in found(loaded)] == [(row, "x", "mended", "mended") for row in exchanged]


def test_the_origin_of_5186_is_where_the_law_puts_it():
    declared = dataset(("x", "number"), ("y", "number"), geometry=Points(x="x", y="y", crs="EPSG:5186"), inside=False)

    assert np.allclose(places(from_csv("x,y\n200000,600000\n", declared)), (127.0, 38.0), atol=1e-9)


def shapes(crs="EPSG:4326"):
    return dataset("k", "shape", geometry=Shapes(column="shape", crs=crs))


def test_a_shape_of_the_plane_becomes_degrees_with_its_bounds():
    text = "POLYGON ((1018500 1985500, 1018500 1986000, 1019000 1986000, 1019000 1985500, 1018500 1985500))"

    loaded = from_csv(f'k,shape\na,"{text}"\n', shapes("EPSG:5179"))

    cell = shapely.from_wkt(loaded.rows["_wkt"].item())
    assert loaded.rows["shape"].item() == text
    assert np.allclose(loaded.rows.select("_west", "_south", "_east", "_north").row(0), cell.bounds, atol=1e-7)
    assert CITY.touches(np.array([cell])).all()
    assert found(loaded) == []


@pytest.mark.parametrize("text", ["POLYGON ((1 2", "here", "POINT EMPTY"])
def test_what_is_no_shape_is_emptied(text):
    loaded = from_csv(f'k,shape\na,"{text}"\nb,\n', shapes())

    assert loaded.rows.select("shape", "_wkt").rows() == [(None, None)] * 2
    assert found(loaded) == [(1, "shape", "unreadable", "emptied", text)]


def test_shapes_outside_exchanged_crossed_or_nowhere_are_told():
    texts = [
        "LINESTRING (127.7 37.8, 127.8 37.9)",
        "POINT (126.9 37.5)",
        "LINESTRING (37.8 127.7, 37.9 127.8)",
        "POLYGON ((127.7 37.7, 127.8 37.8, 127.8 37.7, 127.7 37.8, 127.7 37.7))",
        "POINT (1018500 1985500)",
        "POINT Z (127.7 37.8 12)",
    ]

    loaded = from_csv("k,shape\n" + "\n".join(f'a,"{text}"' for text in texts), shapes())

    assert [one[:4] for one in found(loaded)] == [
        (2, "shape", "outside", "kept"),
        (3, "shape", "mended", "mended"),
        (4, "shape", "mended", "mended"),
        (5, "shape", "outside", "emptied"),
    ]
    wkt = shapely.from_wkt(loaded.rows["_wkt"].to_numpy())
    assert wkt[2].equals(wkt[0])
    assert shapely.is_valid(wkt[[0, 1, 2, 3, 5]]).all()
    assert loaded.rows["_wkt"][5] == "POINT (127.7 37.8)"
    assert loaded.rows.row(4, named=True) | {"k": 0, "_row": 0} == dict.fromkeys(loaded.rows.columns) | {
        "k": 0,
        "_row": 0,
    }


def test_a_dataset_without_rows_has_its_columns_of_place():
    assert from_csv("k,shape\n", shapes()).rows.columns == [
        "k",
        "shape",
        "_wkt",
        "_west",
        "_south",
        "_east",
        "_north",
        "_row",
    ]
    assert from_csv("k,lon,lat\n", POINTS).rows.schema["_lon"] == pl.Float64
