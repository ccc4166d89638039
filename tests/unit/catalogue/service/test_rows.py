"""Which rows somebody sees: what citizens never learn, what conditions mean, rows of another declaration."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.catalogue.reading.cells import TYPES
from schemas.dataset import Points, Shapes
from schemas.errors import InvalidError
from serve.catalogue import drawn, geo
from serve.catalogue.rows import Asked, conformed, hidden, picked, selected, visible
from serve.catalogue.taking import take
from tests.unit.catalogue.entries import LAT, LON, facts
from tests.unit.catalogue.service.declared import AREAS, DONG, LAMPS, PEOPLE, ROWS, STOP, job, rows_of, stops

TABLE = rows_of(take(job(stops(), ROWS)))
PHONES = st.lists(st.one_of(st.none(), st.text("0123456789-", max_size=4)), min_size=8, max_size=8)
EAST = st.lists(st.one_of(st.none(), st.floats(127.6, 127.9)), min_size=8, max_size=8)
BOX = (127.6, 37.8, 127.9, 38.0)
TILE = (10, 874, 395)


def people(phones, lons=None):
    size = len(phones)
    return pl.DataFrame(
        {
            "stop": [f"S{number}" for number in range(size)],
            "phone": phones,
            "dong": (["석사"] * 3 + ["퇴계"] * 3 + ["남면"] * 2)[:size],
            "age": ([20] * 3 + [30] * 2 + [70] * 3)[:size],
            "lamps": list(range(size)),
            "lon": lons or [127.7 + number / 100 for number in range(size)],
            "lat": [37.87] * size,
        },
        schema_overrides={"phone": pl.String, "lon": pl.Float64, "age": pl.Int64},
    ).with_columns(pl.col("lon").alias("_lon"), pl.col("lat").alias("_lat"))


def answers(rows, declared):
    """All that a citizen may ask of rows."""
    seen = visible(rows, declared, "citizen")
    wheres = ["phone=010", "phone!=010", "phone<5", "phone>=0", "phone~1", "phone=", "phone!=", "lamps>2", "lon>127.72"]
    asked = [Asked(where=[one]) for one in wheres]
    asked += [Asked(sort=[name]) for name in ("phone", "-phone", "lon", "-lon", "-lamps")]
    asked += [
        Asked(bbox=BOX),
        Asked(bbox=(127.7, 37.8, 127.72, 38.0)),
        Asked(where=["phone~0"], sort=["-phone"], bbox=BOX),
    ]
    columns = [one.id for one in declared.columns]
    found = [picked(seen, declared, one).select(columns).write_json() for one in asked]
    found += [geo.collection(seen, declared, columns, {}), geo.tile(seen, declared, columns, *TILE, 100)]
    return [*found, drawn.chart(seen, declared, {}), drawn.picture(seen, declared, {})]


@settings(max_examples=40)
@given(PHONES, PHONES)
def test_citizens_are_answered_the_same_whatever_a_masked_column_holds(one, other):
    assert answers(people(one), PEOPLE) == answers(people(other), PEOPLE)


HIDDEN = facts(
    columns=(STOP, *PEOPLE.columns[1:5], LON.model_copy(update={"personal": "mask"}), LAT),
    geometry=Points(x="lon", y="lat"),
    chart=PEOPLE.chart.model_copy(update={"x": "stop", "y": "lon", "aggregate": "sum"}),
    map=PEOPLE.map,
    k=3,
)


@settings(max_examples=40)
@given(EAST, EAST)
def test_citizens_are_answered_the_same_wherever_a_masked_place_lies(one, other):
    same = ["1"] * 8
    assert answers(people(same, one), HIDDEN) == answers(people(same, other), HIDDEN)


def test_a_masked_shape_is_nowhere():
    column = AREAS.columns[2].model_copy(update={"personal": "mask"})
    secret = AREAS.model_copy(update={"columns": (*AREAS.columns[:2], column)})
    row = {"code": "1", "name": "동", "shape": "POINT (127.7 37.9)", "_wkt": "POINT (127.7 37.9)"}
    rows = pl.DataFrame([row | {"_west": 127.7, "_east": 127.7, "_south": 37.9, "_north": 37.9}])
    seen = visible(rows, secret, "citizen")
    assert not len(picked(seen, secret, Asked(bbox=BOX)))
    assert b"127.7" not in geo.collection(seen, secret, ["code", "shape"], {})


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), min_size=1, max_size=12), st.integers(2, 4))
def test_values_of_a_group_are_shown_where_enough_rows_share_them(pairs, k):
    rows = (
        people([None] * len(pairs))
        if len(pairs) <= 8
        else pl.concat([people([None] * 8), people([None] * (len(pairs) - 8))])
    )
    rows = rows.with_columns(pl.Series("dong", [one for one, _ in pairs]), pl.Series("age", [one for _, one in pairs]))
    seen = visible(rows, PEOPLE.model_copy(update={"k": k}), "citizen").select("dong", "age").rows()
    assert seen == [pair if pairs.count(pair) >= k else (None, None) for pair in pairs]


def test_a_place_made_of_a_group_is_shown_as_the_group_is():
    lon = LON.model_copy(update={"personal": "group"})
    declared = facts(columns=(STOP, DONG, lon, LAT), geometry=Points(x="lon", y="lat"), k=2)
    rows = people(["1"] * 4, [127.7, 127.7, 127.8, 127.9]).select("stop", "dong", "lon", "lat", "_lon", "_lat")
    rows = rows.with_columns(pl.lit("석사").alias("dong"))
    seen = visible(rows, declared, "citizen")
    assert seen["_lon"].to_list() == [127.7, 127.7, None, None]
    assert len(picked(seen, declared, Asked(bbox=BOX))) == 2


@pytest.mark.parametrize("audience", ["staff", "operator"])
def test_staff_and_operators_see_all(audience):
    rows = people(["1"] * 8)
    assert visible(rows, PEOPLE, audience) is rows
    assert hidden(PEOPLE, audience) == ()


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("lamps=2", ["A1"]),
        ("lamps!=2", ["A2", "A3", "A4"]),
        ("lamps<2", ["A2"]),
        ("lamps<=2", ["A1", "A2"]),
        ("lamps>0", ["A1", "A3"]),
        ("lamps>=-5", ["A1", "A2", "A3"]),
        ("lamps=", ["A4"]),
        ("lamps!=", ["A1", "A2", "A3"]),
        ("name=시청", ["A2"]),
        ("name~, ", ["A3"]),
        ("stop~a", ["A1", "A2", "A3", "A4"]),
        ("name~%", []),
        ("name=", ["A4"]),
        ("name!=", ["A1", "A2", "A3"]),
        ("width>=1.5", ["A1", "A2"]),
        ("width<inf", ["A1", "A2", "A4"]),
        ("lit=true", ["A1", "A4"]),
        ("lit!=true", ["A2", "A3"]),
        ("built>=2020-01-02", ["A1", "A2"]),
        ("seen<2026-01-15T10:00:00+09:00", ["A1", "A4"]),
        ("seen<2026-01-15T10:00:00 09:00", ["A1", "A4"]),
        ("seen=2026-01-15T00:00:00Z", ["A1"]),
    ],
)
def test_a_condition_holds_for_its_rows(where, found):
    assert picked(TABLE, stops(), Asked(where=[where]))["stop"].to_list() == found


def test_conditions_hold_together():
    assert picked(TABLE, stops(), Asked(where=["lamps>=0", "lit=true"]))["stop"].to_list() == ["A1"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("lamps", "is no condition"),
        ("=2", "is no condition"),
        ("ghost=1", "no column 'ghost'"),
        ("_row=1", "is no condition"),
        ("lamps=two", "no value of lamps, which holds a integer"),
        ("lamps=1.5", "no value of lamps"),
        (f"lamps<{10**30}", "no value of lamps"),
        (f"lamps<{'9' * 5000}", "no value of lamps"),
        ("lamps>", "no value of lamps"),
        ("width=wide", "no value of width"),
        ("lit=maybe", "no value of lit"),
        ("built=15.01.2026", "no value of built"),
        ("seen>2026-01-15T10:00:00", "no value of seen"),
        ("seen>0001-01-01T00:00:00+09:00", "no value of seen"),
        ("seen>yesterday", "no value of seen"),
        ("lamps~2", "lamps is no text"),
    ],
)
def test_a_condition_that_means_nothing_is_told(where, why):
    with pytest.raises(InvalidError, match=why):
        picked(TABLE, stops(), Asked(where=[where]))


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        (["lamps"], ["A2", "A1", "A3", "A4"]),
        (["-lamps"], ["A3", "A1", "A2", "A4"]),
        (["lit", "-width"], ["A2", "A1", "A4", "A3"]),
        (["lit", "lit"], ["A2", "A1", "A4", "A3"]),
    ],
)
def test_rows_are_sorted_with_empty_ones_last(sort, found):
    assert picked(TABLE, stops(), Asked(sort=sort))["stop"].to_list() == found


def test_a_box_holds_what_lies_in_it_or_on_its_edge():
    assert picked(TABLE, stops(), Asked(bbox=(127.70, 37.87, 127.73, 37.875)))["stop"].to_list() == ["A1"]
    assert picked(TABLE, stops(), Asked(bbox=BOX))["stop"].to_list() == ["A1", "A2", "A3"]


def test_a_dataset_without_places_has_no_box():
    bare = facts(columns=(STOP, LAMPS))
    with pytest.raises(InvalidError, match="leave bbox out"):
        picked(TABLE.select("stop", "lamps"), bare, Asked(bbox=BOX))


def test_columns_are_shown_in_the_order_asked_for_each_once():
    assert selected(stops(), Asked(select=["lamps", "stop", "lamps"])) == ["lamps", "stop"]
    with pytest.raises(InvalidError, match="there are stop, name"):
        selected(stops(), Asked(select=["ghost"]))


def test_without_rows_there_are_the_columns_and_the_places():
    for declared in (stops(), AREAS, facts()):
        empty = conformed(pl.DataFrame(), declared)
        assert empty.height == 0
        assert {one.id: TYPES[one.kind] for one in declared.columns}.items() <= dict(empty.schema).items()
    assert not len(
        picked(conformed(pl.DataFrame(), stops()), stops(), Asked(where=["lamps>2"], sort=["-seen"], bbox=BOX))
    )


def test_rows_of_the_same_declaration_stay_as_they_are():
    assert conformed(TABLE, stops()) is TABLE


def test_rows_of_another_declaration_are_read_as_far_as_they_can_be():
    columns = (STOP, LAMPS.model_copy(update={"kind": "text"}), *stops().columns[3:5])
    other = facts(columns=(*columns, facts().columns[0].model_copy(update={"id": "built", "kind": "time"})))
    shown = conformed(TABLE, other.model_copy(update={"geometry": Shapes(column="stop")}))
    assert shown["lamps"].to_list() == ["2", "0", "12", None]
    assert shown["built"].to_list() == [None] * 4
    assert shown["_wkt"].to_list() == [None] * 4
    assert "_lon" not in shown.columns
    back = conformed(shown, stops())
    assert back["lamps"].to_list() == [2, 0, 12, None]
    assert back["seen"].dtype == TYPES["time"]


def test_the_moments_of_a_column_are_utc():
    assert TABLE["seen"][0] == datetime(2026, 1, 15, 0, tzinfo=UTC)
    assert TABLE["built"][0] == date(2020, 1, 2)
