"""Maps of the population."""

import re
from datetime import date

import polars as pl
import pytest
import shapely
from shapely.geometry import shape

from actors.population.grid import polygons
from schemas.errors import InvalidError
from serve.charts.render import render
from serve.population.picture import population_map
from serve.population.query import Asked, answer
from serve.population.slots import SLOTS, each_hour
from serve.population.suppress import protect
from tests.unit.population.scenario import CELLS, MONDAY, counts, days, facts

A, B, C = CELLS
CREDIT = "춘천시 · 경계 © admdongkor, SGIS"
ROWS = [(MONDAY, A, 7, 40.0), (MONDAY, A, 8, 90.0), (MONDAY, B, 7, 3.0)]


def found(*slots, rows=ROWS):
    asked = Asked("boardings", slots or (SLOTS["day"],))
    known = days([(MONDAY, (7, 8, 9), True), (date(2026, 1, 6), (7,), False)])
    return answer("fare-card", facts(), known, protect(counts(rows), 5), asked)


def test_a_map_says_what_it_shows_and_what_not_and_whose_data_it_is():
    spec = population_map(found(), CREDIT)
    assert spec["title"]["text"].startswith("버스 승차 건수 — 하루")
    notes = "\n".join(spec["title"]["subtitle"])
    for words in ("체류인구가 아님", "일부 시간만 집계된 1일 제외", "하루 평균", "5 미만은 숨김", CREDIT, "합성"):
        assert words in notes


def test_a_map_holds_the_means_and_no_hidden_count():
    values = {row["properties"]["cell"]: row["value"] for row in population_map(found(), CREDIT)["data"]["values"]}
    assert values == {A: 130.0, B: None}


def test_several_slots_are_small_maps_in_their_order():
    spec = population_map(found(*each_hour((7, 8))), CREDIT)
    assert spec["facet"]["sort"] == ["07–08시", "08–09시"]
    picture = render(spec, "svg").decode()
    assert picture.index("07–08시") < picture.index("08–09시")


def test_squares_turn_clockwise_so_that_they_are_filled_inside():
    for row in population_map(found(), CREDIT)["data"]["values"]:
        assert not shape(row["geometry"]).exterior.is_ccw


def test_a_picture_has_korean_letters_and_a_square_of_each_cell():
    outline = shapely.union_all(polygons(pl.Series(CELLS))).buffer(0.001)
    picture = render(population_map(found(), CREDIT, outline), "svg").decode()
    assert "버스 승차 건수" in picture
    fills = [fill for fill in re.findall(r'<path[^>]* fill="(#[0-9a-f]{6}|rgb[^"]+)"', picture) if fill != "#fff"]
    assert fills.count("#c9ced6") == 1
    assert len(fills) == 2
    assert render(population_map(found(), CREDIT, outline), "png").startswith(b"\x89PNG")


def test_a_frame_looks_closer_than_the_outline():
    outline = shapely.box(127, 37, 129, 39)
    spec = population_map(found(), CREDIT, outline, (127.7, 37.85, 127.76, 37.9))
    assert shape(spec["projection"]["fit"]["geometry"]).bounds == (127.7, 37.85, 127.76, 37.9)


def test_nothing_at_all_is_no_picture_but_an_empty_city_is():
    nothing = found(rows=[])
    with pytest.raises(InvalidError, match="nothing to draw"):
        population_map(nothing, CREDIT)
    assert render(population_map(nothing, CREDIT, shapely.box(127.7, 37.8, 127.8, 37.9)), "svg").startswith(b"<svg")


def test_a_map_of_too_many_squares_is_refused(monkeypatch):
    monkeypatch.setattr("serve.population.picture.MOST_SQUARES", 1)
    with pytest.raises(InvalidError, match="smaller area"):
        population_map(found(), CREDIT)
