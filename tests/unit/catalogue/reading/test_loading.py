import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.catalogue.reading.findings import FINDINGS, LISTED, SUMMARY
from actors.catalogue.reading.read import read_records
from schemas.dataset import OneOf, Pattern, Range
from schemas.errors import InvalidError
from tests.unit.catalogue.reading.declared import CITY, PLACE, column, dataset, found, from_csv

KEYED = dataset("k", ("v", "integer"), key=("k",))


def kept(loaded):
    return loaded.rows.select("k", "v", "_row").rows()


def test_a_row_that_comes_again_counts_once():
    loaded = from_csv("k,v\na,1\na,1\nb,2\n", KEYED)

    assert kept(loaded) == [("a", 1, 1), ("b", 2, 3)]
    assert found(loaded) == [(2, "k", "repeated", "dropped", "a")]


def test_of_two_rows_of_a_key_the_later_one_counts():
    loaded = from_csv("k,v\na,1\nb,2\na,3\n", KEYED)

    assert kept(loaded) == [("b", 2, 2), ("a", 3, 3)]
    assert found(loaded) == [(1, "k", "conflicting", "dropped", "a")]


def test_a_row_that_comes_back_after_another_of_its_key_counts():
    loaded = from_csv("k,v\na,1\na,2\na,1\n", KEYED)

    assert kept(loaded) == [("a", 1, 1)]
    assert found(loaded) == [(2, "k", "conflicting", "dropped", "a"), (3, "k", "repeated", "dropped", "a")]


def test_the_newest_row_of_a_key_counts_where_a_column_says_which_that_is():
    declared = dataset("k", ("v", "integer"), ("at", "time"), key=("k",), newest="at")

    loaded = from_csv("k,v,at\na,1,2026-01-02 00:00\na,2,2026-01-01 00:00\na,3,\n", declared)

    assert loaded.rows["v"].to_list() == [1]
    assert [one[:3] for one in found(loaded)] == [(2, "k", "conflicting"), (3, "k", "conflicting")]


def test_a_column_that_is_not_declared_does_not_make_rows_differ():
    loaded = from_csv("k,v,area\na,1,east\na,1,west\n", KEYED)

    assert found(loaded, "extra-column") == [(2, "k", "repeated", "dropped", "a")]


def test_a_part_of_a_key_may_be_empty():
    loaded = from_csv("k,w,v\na,,1\na,,2\na,x,3\n", dataset("k", "w", ("v", "integer"), key=("k", "w")))

    assert loaded.rows["v"].to_list() == [2, 3]


def test_rows_without_a_key_stand_for_themselves():
    loaded = from_csv("k,v\n,1\n,1\n", KEYED)

    assert loaded.rows["v"].to_list() == [1, 1]
    assert [one[2:4] for one in found(loaded)] == [("missing", "kept")] * 2


def test_rows_without_a_key_are_dropped_where_they_would_replace_others():
    loaded = from_csv("k,v\n,1\na,2\n", dataset("k", ("v", "integer"), key=("k",), mode="upsert"))

    assert loaded.rows["v"].to_list() == [2]
    assert found(loaded) == [(1, "k", "missing", "dropped", "")]


def test_a_dataset_without_a_key_keeps_rows_that_are_the_same():
    assert len(from_csv("k,v\na,1\na,1\n", dataset("k", ("v", "integer"))).rows) == 2


def test_a_missing_key_column_drops_nothing_but_is_told():
    loaded = from_csv("v\n1\n1\n", KEYED)

    assert loaded.rows["v"].to_list() == [1, 1]
    assert found(loaded) == [(None, "k", "missing-column", "emptied", "k")]


def test_rows_that_replace_others_need_their_key_column():
    with pytest.raises(InvalidError, match="key column 'k' is not in what came"):
        from_csv("v\n1\n", dataset("k", ("v", "integer"), key=("k",), mode="upsert"))


def test_an_empty_row_is_dropped_and_told():
    loaded = from_csv("k,v\na,1\n,\n \u00a0,\u3000\nb,2\n", KEYED)

    assert kept(loaded) == [("a", 1, 1), ("b", 2, 4)]
    assert [one[:4] for one in found(loaded)] == [(row, None, "missing", "dropped") for row in (2, 3)]


def test_an_empty_cell_of_a_required_column_is_told():
    loaded = from_csv("k,v\na,\nb,x\n", dataset("k", column("v", "integer", required=True)))

    assert found(loaded) == [
        (1, "v", "missing", "kept", None),
        (2, "v", "unreadable", "emptied", "x"),
        (2, "v", "missing", "kept", "x"),
    ]


def test_each_rule_flags_what_breaks_it_and_the_row_loads():
    rules = (
        Range(column="n", low=0, high=10),
        OneOf(column="s", values=("open", "shut")),
        Pattern(column="t", pattern=r"\d{3}-\d{4}"),
    )
    declared = dataset(("n", "integer"), "s", "t", rules=rules)

    loaded = from_csv("n,s,t\n0,open,250-3000\n11,ajar,x250-3000\n,,\n10,shut,\n", declared)

    assert found(loaded, "missing") == [
        (2, "n", "range", "kept", "11"),
        (2, "s", "value", "kept", "ajar"),
        (2, "t", "pattern", "kept", "x250-3000"),
    ]
    assert len(loaded.rows) == 3


def test_a_pattern_that_is_none_is_refused():
    declared = dataset("t", rules=(Pattern(column="t", pattern="("),))

    with pytest.raises(InvalidError, match="no regular expression"):
        from_csv("t\nx\n", declared)


@pytest.mark.parametrize(("rows", "cut"), [(65_534, []), (65_535, [(None, None, "cut", "kept", "65,535")])])
def test_a_file_of_as_many_rows_as_a_sheet_holds_was_probably_cut(rows, cut):
    assert found(from_csv("v\n" + "1\n" * rows, dataset(("v", "integer")))) == cut


def test_many_findings_are_listed_up_to_a_bound_and_counted_in_full():
    loaded = from_csv("v,w\n" + "x,1\n" * (LISTED + 5), dataset(("v", "integer"), ("w", "integer")))

    assert len(loaded.findings) == LISTED
    assert loaded.summary.rows() == [("unreadable", "v", "emptied", LISTED + 5)]
    assert (loaded.findings.schema, loaded.summary.schema) == (FINDINGS, SUMMARY)


def test_what_a_finding_shows_is_cut():
    loaded = from_csv(f"v\n{'x' * 500}\n", dataset(("v", "integer")))

    assert loaded.findings["value"].str.len_chars().to_list() == [200]


def test_a_change_of_columns_changes_the_digest_and_a_change_of_rows_does_not():
    digests = [
        from_csv(text, KEYED).schema_digest
        for text in ("k,v\na,1\n", "k,v\nb,2\nc,3\n", "v,k\n1,a\n", "k,v,w\na,1,2\n")
    ]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_order_of_a_records_fields_is_no_change_of_columns():
    first, second = ([{"k": "a", "v": 1}], [{"v": 1, "k": "a"}])

    digests = {read_records(records, KEYED, CITY).schema_digest for records in (first, second)}

    assert len(digests) == 1


def test_every_column_has_its_type_though_nothing_came():
    declared = dataset(
        ("a", "text"), ("b", "integer"), ("c", "number"), ("d", "boolean"), ("e", "date"), ("f", "time"), "z"
    )

    loaded = from_csv("z\nx\n", declared)

    types = [pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Datetime("us", "UTC"), pl.String]
    assert loaded.rows.dtypes[:7] == types
    assert loaded.completeness == pytest.approx(1 / 7)


CELL = st.sampled_from(["", " ", "1", "2", "2.0", "?3", "x", "127.7", "37.8", "0", "-", '"', "a\nb", "\ufffd", "1,5"])
LINE = st.lists(CELL, min_size=1, max_size=5).map(",".join)


@given(st.lists(LINE, max_size=25), st.booleans(), st.sampled_from(["replace", "upsert"]))
@settings(max_examples=60)
def test_every_row_of_the_source_loads_or_is_told_as_dropped(lines, keyed, mode):
    declared = dataset(
        column("k"),
        column("lon", "number", required=True),
        column("lat", "number"),
        key=("k",) if keyed or mode == "upsert" else (),
        mode=mode,
        geometry=PLACE,
    )

    loaded = from_csv("k,lon,lat\n" + "\n".join(lines), declared)

    dropped = loaded.findings.filter((pl.col("action") == "dropped") & pl.col("row").is_not_null())
    numbers = [*loaded.rows["_row"], *dropped["row"]]
    assert sorted(numbers) == list(range(1, loaded.received + 1))
    assert loaded.dropped == len(dropped)
    assert loaded.rows["_row"].is_sorted()
    if declared.key:
        named = loaded.rows.filter(pl.col("k").is_not_null())
        assert named["k"].is_unique().all()


@given(st.lists(st.fixed_dictionaries({"k": st.sampled_from("abc"), "v": st.integers(0, 2)}), max_size=12))
@settings(max_examples=40)
def test_what_counts_for_a_key_is_what_came_last(records):
    loaded = read_records(records, KEYED, CITY)

    assert dict(loaded.rows.select("k", "v").rows()) == {record["k"]: record["v"] for record in records}
