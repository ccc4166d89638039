"""The national 500 m grid: ids, corners, neighbours; checked over every row of the city's own files."""

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.population.grid import cells_at, cells_of, centres, geometries, neighbours, origins, polygons
from schemas.errors import InvalidError
from tests.unit.population.real import ACCESS, GRID, needs_files, read


@needs_files
@pytest.mark.parametrize("path", [GRID, ACCESS], ids=lambda path: path.stem)
def test_every_cell_of_the_citys_files_lies_where_its_polygon_does(path):
    rows = read(path)
    drawn = shapely.from_wkt(rows["geometry"].to_numpy())
    west, south, east, north = shapely.bounds(drawn).T
    assert np.array_equal(np.stack(origins(rows["gid"])), np.stack([west, south]))
    assert (east - west == 500).all()
    assert (north - south == 500).all()
    for x, y in ((west, south), (east - 0.01, north - 0.01), (west, north - 0.01)):
        assert cells_at(x, y).equals(rows["gid"].rename("cell"))
    assert cells_of(*centres(rows["gid"])).equals(rows["gid"].rename("cell"))


@for_all(st.floats(700_000, 1_399_999), st.floats(1_300_000, 2_099_999))
def test_a_point_lies_in_the_cell_that_holds_it(east, north):
    cell = cells_at(np.array([east]), np.array([north]))
    west, south = (axis[0] for axis in origins(cell))
    assert west <= east < west + 500
    assert south <= north < south + 500


def test_a_known_place_has_its_cell():
    # 춘천시청: 라사 is the square from 1,000 to 1,100 km east and 1,900 to 2,000 km north.
    assert cells_of(np.array([127.7298]), np.array([37.8813])).to_list() == ["라사20a86b"]


def test_points_outside_the_country_or_without_numbers_have_no_cell():
    lon, lat = np.array([np.nan, 0.0, 127.73, 200.0]), np.array([37.88, 0.0, np.nan, 95.0])
    assert cells_of(lon, lat).to_list() == [None] * 4


@pytest.mark.parametrize("text", ["라사1799", "라사00b69", "Xa00b69a", "라사00c69a", "", None])
def test_what_is_no_cell_is_refused_by_its_name(text):
    with pytest.raises(InvalidError, match="500 m grid"):
        origins(pl.Series(["라사00b69a", text], dtype=pl.String))


def test_a_cell_has_eight_neighbours_across_the_edge_of_a_square_too():
    around = neighbours(pl.Series(["라사00a00a", "라사00a00a"]))
    assert around.height == 8
    assert {"다바99b99b", "다사99b00a", "라바00a99b"} <= set(around["neighbour"])
    assert neighbours(pl.Series(["가가00a00a"])).height == 3


def test_neighbours_are_mutual():
    cells = pl.Series(["라사20a86b"])
    once = neighbours(cells)
    twice = neighbours(once["neighbour"])
    assert set(twice.filter(pl.col("neighbour") == cells[0])["cell"]) == set(once["neighbour"])


def test_polygons_are_geojson_of_a_quarter_of_a_square_kilometre():
    (shape,) = polygons(pl.Series(["라사20a86b"]))
    assert shape.exterior.is_ccw
    assert shape.contains(shapely.Point(*(axis[0] for axis in centres(pl.Series(["라사20a86b"])))))
    metres = shape.area * 111_320 * 111_320 * np.cos(np.radians(37.88))
    assert metres == pytest.approx(250_000, rel=0.01)
    (drawn,) = geometries(pl.Series(["라사20a86b"]))
    assert drawn["type"] == "Polygon"
    assert drawn["coordinates"][0][0] == drawn["coordinates"][0][-1]
