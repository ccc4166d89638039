"""Areas: which polygon a name means, in which each cell lies, and counts added up by them."""

import polars as pl
import pytest
import shapely

from actors.population.grid import polygons
from schemas.errors import ConflictError, InvalidError
from serve.areas import Areas
from serve.population.by_area import by_area
from serve.population.query import Asked, answer
from serve.population.slots import slots_of
from serve.population.suppress import protect
from tests.unit.population.real import BOUNDARY, GRID, needs_files, read
from tests.unit.population.scenario import CELLS, MONDAY, counts, days, facts

A, B, C = CELLS
WEST, EAST = shapely.union(*polygons(pl.Series([A, B]))), polygons(pl.Series([C]))[0]
NOWHERE = "라사00b69a"
LINES = pl.List(pl.Array(pl.Float64, 2))


def areas(**more):
    rows = {"code": ["2", "1", "3"], "name": ["춘천시 동면", "춘천시 서면", None], "_wkt": [EAST.wkt, WEST.wkt, None]}
    return Areas.of(pl.DataFrame(rows | more), "© somebody", "v1")


def found(rows, hours="7,8"):
    known = days([(MONDAY, (7, 8, 9), True)])
    return answer("fare-card", facts(), known, protect(counts(rows), 5), Asked("boardings", slots_of(hours)))


def test_an_area_is_named_by_its_code_or_by_the_last_word_of_its_name():
    for names in (["1"], ["서면"], ["춘천시 서면"], ["1", "서면"]):
        assert areas().named(names).rows["code"].to_list() == ["1"]
    assert areas().named(["동면", "서면"]).rows["code"].to_list() == ["1", "2"]


def test_an_area_that_nobody_knows_is_told_with_those_there_are():
    with pytest.raises(InvalidError, match=r"no area '북면'.* 1 서면, 2 동면"):
        areas().named(["북면"])


def test_a_cell_lies_where_its_middle_does():
    held = areas().holding(pl.Series([C, A, NOWHERE, B]))
    assert held["code"].to_list() == ["2", "1", None, "1"]


def test_a_middle_on_the_border_of_two_areas_lies_in_the_first():
    middle = EAST.centroid
    west = shapely.box(middle.x - 1, middle.y - 1, middle.x, middle.y + 1)
    east = shapely.box(middle.x, middle.y - 1, middle.x + 1, middle.y + 1)
    both = Areas.of(pl.DataFrame({"code": ["1", "2"], "name": ["a", "b"], "_wkt": [west.wkt, east.wkt]}), "", "v")
    assert both.holding(pl.Series([C]))["code"].null_count() == 0


def test_a_segment_lies_where_the_middle_of_its_line_does():
    (west, south), (east, north) = WEST.centroid.coords[0], EAST.centroid.coords[0]
    nearer = [[west, south], [0.6 * west + 0.4 * east, 0.6 * south + 0.4 * north]]
    lines = {"a": nearer, "b": [[east, north], [east + 1e-5, north]], "c": [[0.0, 0.0], [1.0, 1.0]], "d": [], "e": None}
    segments = pl.DataFrame(
        {"road": "r", "segment": list(lines), "line": list(lines.values())}, schema_overrides={"line": LINES}
    )
    assert areas().of_segments(segments).select("segment", "area", "area_ko").rows() == [
        ("a", "1", "서면"),
        ("b", "2", "동면"),
        ("c", None, None),
        ("d", None, None),
        ("e", None, None),
    ]


def test_counts_of_an_area_are_those_of_its_cells_and_what_is_hidden_stays_so():
    rows = by_area(found([(MONDAY, A, 7, 40.0), (MONDAY, B, 7, 6.0), (MONDAY, B, 8, 3.0)]), areas())
    assert rows.select("code", "slot", "count", "hidden", "mean", "at_most").rows() == [
        ("1", "7", 46.0, 0, 46.0, 46.0),
        ("1", "8", 0.0, 1, None, 5.0),
        ("2", "7", 0.0, 0, 0.0, 0.0),
        ("2", "8", 0.0, 0, 0.0, 0.0),
    ]


def test_cells_of_no_area_are_a_row_without_a_code_so_that_nothing_is_lost():
    answered = found([(MONDAY, A, 7, 40.0), (MONDAY, NOWHERE, 7, 7.0)], "7")
    rows = by_area(answered, areas())
    assert rows.select("code", "count").rows() == [("1", 40.0), ("2", 0.0), (None, 7.0)]
    assert rows["count"].sum() == answered.totals["count"].item()


def test_geometries_turn_as_they_are_asked_to():
    for clockwise in (True, False):
        for geometry in areas().geometries(clockwise=clockwise).values():
            ring = shapely.from_geojson(str(geometry).replace("'", '"').replace("(", "[").replace(")", "]"))
            assert ring.exterior.is_ccw != clockwise


def test_rows_that_are_no_areas_are_refused():
    with pytest.raises(ConflictError, match="lacks _wkt, code"):
        Areas.of(pl.DataFrame({"name": ["x"]}), "", "v")


@needs_files
def test_nearly_every_cell_of_the_real_grid_that_has_people_lies_in_one_of_the_25_areas():
    shapes = shapely.get_parts(shapely.from_geojson(BOUNDARY.read_text(encoding="utf8")))
    rows = pl.DataFrame({"code": [f"{n:02}" for n in range(25)], "name": "x", "_wkt": [one.wkt for one in shapes]})
    grid = read(GRID).unique("gid").with_columns(pl.col("총인구").cast(pl.Float64))
    held = Areas.of(rows, "", "v").holding(grid["gid"])
    people = grid.rename({"gid": "cell"}).join(held, on="cell")
    assert people.filter(pl.col("code").is_not_null())["총인구"].sum() > 0.99 * 284_978
