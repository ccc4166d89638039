import os
import re
from collections import Counter
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import get_args

import orjson
import polars as pl
import pytest
import shapely
from pyproj import Transformer

from schemas.archive import TABLES
from schemas.dataset import SUBJECTS, Chart, FromCity, FromFile, OneOf, Points, Range, Shapes
from schemas.errors import PackError
from schemas.facility import FacilityKind, Grade, Risk
from schemas.packs.datasets import load_datasets, with_changes
from schemas.packs.load import BUNDLED
from schemas.road import ClearingState, Impact, Rank, SegmentStatus, WorkState
from schemas.tables import PUBLISHED
from serve.routes.alarms import HIDDEN as ALARMS_HIDDEN
from serve.routes.works import HIDDEN as WORKS_HIDDEN
from serve.statistics import ALL
from serve.statistics.declared import SEGMENT_AREAS, Asked

SHARED = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data"
DATASETS = load_datasets(BUNDLED / "chuncheon" / "datasets")
FILES = {name: one for name, one in DATASETS.items() if isinstance(one.connector, FromFile)}
CITY = {name: one for name, one in DATASETS.items() if isinstance(one.connector, FromCity)}
NUMERIC = {"integer", "number"}
NOWHERE = pl.DataFrame(schema=dict.fromkeys(("road", "segment", "area", "area_ko"), pl.String))
HANGUL = re.compile("[가-힣]")

needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")


def test_there_are_as_many_datasets_as_the_city_declares_over_its_fields():
    fields = Counter(one.subject for one in DATASETS.values())

    assert len(DATASETS) == 105
    assert set(fields) == set(SUBJECTS)
    assert len(fields) == 15
    assert min(fields.values()) >= 4


def test_those_that_hold_data_are_files_or_tables_of_the_city():
    assert Counter(one.connector and one.connector.by for one in DATASETS.values()) == {
        None: 67, "file": 22, "city": 16,
    }  # fmt: skip
    assert all(one.reading is not None for one in DATASETS.values() if one.connector is None)


def test_each_is_told_in_korean_and_in_english():
    for name, one in DATASETS.items():
        assert all(HANGUL.search(text) for text in (one.title_ko, one.description_ko, one.owner_ko)), name
        # Of the English ones a description may quote a header.
        assert not any(HANGUL.search(text) for text in (one.title_en, one.owner_en)), name
        assert not any(HANGUL.search(column.en) for column in one.columns), name
        assert one.keywords, name
    assert len({one.title_ko for one in DATASETS.values()}) == len({one.title_en for one in DATASETS.values()}) == 105


def test_the_city_opened_to_staff_and_then_to_citizens_and_samples_of_others_stay_with_operators():
    samples = {name for name, one in DATASETS.items() if one.staff_from is None}

    assert {(one.staff_from, one.citizens_from) for one in DATASETS.values()} == {
        (date(2024, 3, 1), date(2024, 7, 1)), (date(2024, 3, 1), None), (None, None),
    }  # fmt: skip
    assert samples == {name for name, one in DATASETS.items() if one.title_ko.startswith("[외부 표본]")}
    assert all("Not of Chuncheon" in DATASETS[name].description_en for name in samples)


def test_charts_count_or_take_numbers_that_everybody_may_see():
    for name, one in DATASETS.items():
        chart = one.chart
        assert isinstance(chart, Chart), name
        assert (chart.y is None) == (chart.aggregate == "count"), name
        assert chart.y is None or one.column(chart.y).kind in NUMERIC, name
        drawn = [one.column(part) for part in (chart.x, chart.y, chart.colour) if part is not None]
        assert all(column.personal != "mask" for column in drawn), name


def test_what_has_a_place_has_a_map_and_rules_fit_their_columns():
    for name, one in DATASETS.items():
        assert (one.map is None) == (one.geometry is None), name
        if isinstance(one.geometry, Points):
            assert {one.column(part).kind for part in (one.geometry.x, one.geometry.y)} == {"number"}, name
        for rule in one.rules:
            assert (one.column(rule.column).kind in NUMERIC) == isinstance(rule, Range), name


FITS = {
    "text": lambda kind: kind == pl.String or kind.is_nested(),
    "integer": lambda kind: kind.is_integer(),
    "number": lambda kind: kind.is_float(),
    "boolean": lambda kind: kind == pl.Boolean,
    "time": lambda kind: kind.is_temporal(),
}


@pytest.mark.parametrize("name", CITY)
def test_a_table_of_the_city_has_the_columns_in_kinds_that_fit(name: str):
    one, empty = CITY[name], lambda schema: pl.from_arrow(schema.empty_table())
    context, table = one.connector.table.split(".")
    if context == "statistic":
        window = Asked(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        facts = {key: empty(schema).lazy() for key, schema in TABLES.items()} | {SEGMENT_AREAS: NOWHERE.lazy()}
        rows = ALL[table].query(facts, window).collect()
    else:
        rows = empty(PUBLISHED[context][table])

    assert [column.id for column in one.columns if not FITS[column.kind](rows.schema[column.header])] == []
    assert one.synthetic


def test_each_table_of_facilities_and_roads_and_each_statistic_is_a_dataset_and_nothing_of_persons():
    tables = {f"{context}.{table}" for context in ("facility", "road") for table in PUBLISHED[context]}

    assert {one.connector.table for one in CITY.values()} == tables | {f"statistic.{statistic}" for statistic in ALL}


def test_what_the_api_hides_from_citizens_is_masked():
    masked = {
        one.connector.table: {column.id for column in one.columns if column.personal == "mask"} for one in CITY.values()
    }

    assert {table: columns for table, columns in masked.items() if columns} == {
        "facility.alarms": set(ALARMS_HIDDEN), "road.works": set(WORKS_HIDDEN),
    }  # fmt: skip


STATES = {
    "facilities": {"kind": FacilityKind, "grade": Grade, "risk": Risk},
    "roads": {"rank": Rank},
    "road-segments": {"status": SegmentStatus, "clearing": ClearingState},
    "road-works": {"state": WorkState, "impact": Impact},
}


@pytest.mark.parametrize("name", STATES)
def test_a_rule_on_a_state_of_the_city_lists_all_its_states(name: str):
    listed = {rule.column: set(rule.values) for rule in CITY[name].rules if isinstance(rule, OneOf)}

    assert listed == {column: set(get_args(known)) for column, known in STATES[name].items()}


@cache
def read(name: str) -> pl.DataFrame:
    """The file as texts, without cleaning."""
    one = FILES[name]
    assert isinstance(one.connector, FromFile)
    path = SHARED / one.connector.file
    if one.connector.format == "csv":
        return pl.read_csv(path, infer_schema=False)
    assert isinstance(one.geometry, Shapes)
    features = orjson.loads(path.read_bytes())["features"]
    shapes = shapely.to_wkt(shapely.from_geojson([orjson.dumps(feature["geometry"]) for feature in features]))
    texts = [
        {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in row.items()}
        for row in (feature["properties"] for feature in features)
    ]
    return pl.DataFrame(texts).with_columns(pl.Series(one.column(one.geometry.column).header, shapes))


READ = {
    "text": lambda cells: cells,
    "integer": lambda cells: (number := cells.cast(pl.Float64, strict=False)).set(number % 1 != 0, None),
    "number": lambda cells: cells.cast(pl.Float64, strict=False),
    "date": lambda cells: cells.str.to_date("%Y-%m-%d", strict=False),
    "time": lambda cells: cells.str.to_datetime("%+", strict=False, time_zone="UTC"),
    "boolean": lambda cells: cells.replace_strict({"0": False, "1": True}, default=None),
}
DIRTY = {("bus-terminals", "lon"): 3}
"""Cells of numbers and days that are none."""
REPEATED = {"grid-500m": 658, "bus-boardings": 2784, "stop-boardings": 1107, "sample-montreal-snow": 42}
"""Rows whose key came before; every other key is unique."""


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_a_file_has_exactly_the_declared_columns_and_readable_cells(name: str):
    one, rows = FILES[name], read(name)

    assert set(rows.columns) == {column.header for column in one.columns}
    for column in one.columns:
        cells = rows[column.header].str.strip_chars()
        full = cells.filter(cells.is_not_null() & (cells != ""))
        assert not column.required or len(full) == len(cells), column.id
        assert READ[column.kind](full).null_count() == DIRTY.get((name, column.id), 0), column.id


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_a_file_s_key_is_unique_but_where_it_is_said_to_repeat(name: str):
    one, rows = FILES[name], read(name)
    key = [one.column(part).header for part in one.key]

    assert key
    assert rows.height - rows.select(key).n_unique() == REPEATED.get(name, 0)


@needs_data
def test_what_repeats_a_key_is_the_same_thing_told_twice():
    for name in ("bus-boardings", "stop-boardings"):
        key = [FILES[name].column(part).header for part in FILES[name].key]
        counts = read(name).group_by(key).agg(pl.col("승차건수", "하차건수").n_unique())
        assert counts.select(pl.col("승차건수", "하차건수").max()).row(0) == (1, 1), name

    cells = read("grid-500m").with_columns(pl.col("총인구").cast(pl.Float64))
    assert cells["총인구"].sum() == 573_954
    assert cells.unique("gid", keep="last")["총인구"].sum() == 284_978


@needs_data
@pytest.mark.parametrize("name", {name: one for name, one in FILES.items() if one.geometry is not None and one.inside})
def test_a_file_lies_in_the_city_in_the_reference_system_that_it_declares(name: str):
    one, rows = FILES[name], read(name)
    match one.geometry:
        case Points(x=x, y=y):
            cells = (rows[one.column(axis).header].cast(pl.Float64, strict=False).drop_nulls() for axis in (x, y))
            lon, lat = (float(axis.median()) for axis in cells)
        case Shapes(column=column):
            shapes = shapely.from_wkt(rows[one.column(column).header].to_numpy())
            place = shapely.centroid(shapely.union_all(shapely.envelope(shapes)))
            lon, lat = place.x, place.y
    lon, lat = Transformer.from_crs(one.geometry.crs, "EPSG:4326", always_xy=True).transform(lon, lat)

    assert 127.5 < lon < 128.03
    assert 37.67 < lat < 38.09


COLUMNS = "columns: [{id: a, ko: 가, en: a}]"
PLAIN = f"""defaults: {{description_ko: 설명, description_en: text, owner_ko: 과, owner_en: division,
  subject: safety, source: nobody, licence: none, citizens_from: 2024-07-01}}
one:
  title_ko: 하나
  title_en: one
  {COLUMNS}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_that_is_not_there_declares_nothing(tmp_path: Path):
    assert load_datasets(tmp_path / "none") == {}


def test_defaults_hold_where_a_dataset_says_nothing_else(tmp_path: Path):
    said = PLAIN + f"two:\n  title_ko: 둘\n  title_en: two\n  licence: other\n  citizens_from: null\n  {COLUMNS}\n"
    found = load_datasets(write(tmp_path, a=said))

    assert [(name, one.licence, one.citizens_from) for name, one in found.items()] == [
        ("one", "none", date(2024, 7, 1)), ("two", "other", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (PLAIN + "  colour: red\n", 7, "one.colour: Extra inputs"),
        (PLAIN + "  interval_s: 0\n", 7, "one.interval_s: Input should be greater"),
        (PLAIN + "  key: [b]\n", 3, "one: key: there is no column 'b'"),
        (PLAIN.replace("  title_en: one\n", ""), 3, "one.title_en: Field required"),
        (PLAIN.replace("safety", "weather"), 2, "one.subject: Input should be"),
        (PLAIN.replace("one:", "One:"), 3, "One: String should match pattern"),
        (PLAIN + "  connector:\n    by: file\n    file: a.csv\n    format: pdf\n", 10, "one.connector.file.format"),
        (PLAIN + "  rules:\n  - {rule: range, column: a}\n  - {rule: range, columns: a}\n", 9, "one.rules.1.range"),
        (PLAIN + "  title_en: again\n", 7, "'title_en' stands in line 5 already"),
        (PLAIN + "one: {}\n", 7, "'one' stands in line 3 already"),
        (PLAIN + "  staff_from: 2024-02-31\n", 4, "day is out of range"),
        (PLAIN + "two: nothing\n", 7, "a dataset is a mapping"),
        (PLAIN + "two: [a\n", 8, "not readable as YAML"),
        (PLAIN + "? [a]\n: b\n", 7, "a key is a plain text"),
        ("- one\n", 1, "a file of datasets is a mapping"),
        ("", 1, "a file of datasets is a mapping"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, text: str, line: int, reason: str):
    with pytest.raises(PackError) as caught:
        load_datasets(write(tmp_path, a=text))

    assert str(caught.value).startswith(f"a.yaml:{line}: ")
    assert reason in caught.value.reason


def test_an_id_of_two_files_is_refused_where_it_comes_again(tmp_path: Path):
    with pytest.raises(PackError, match=r"^b\.yaml:3: 'one' stands in a\.yaml:3 already$"):
        load_datasets(write(tmp_path, a=PLAIN, b=PLAIN))


def test_bytes_that_are_no_utf_8_are_refused(tmp_path: Path):
    (tmp_path / "a.yaml").write_bytes("하나: 1".encode("cp949"))

    with pytest.raises(PackError, match=r"^a\.yaml:1: not readable as UTF-8"):
        load_datasets(tmp_path)


def test_a_file_beside_the_pack_attaches_a_connector_and_adds_a_dataset(tmp_path: Path) -> None:
    pack = load_datasets(BUNDLED / "chuncheon" / "datasets")
    name = next(name for name, one in pack.items() if one.connector is None)
    own = tmp_path / "own.yaml"
    new = "{id: stop, ko: 정류장, en: stop}"
    own.write_text(
        f"{name}:\n  connector: {{by: http, format: json, url: 'https://data.example/api', key_env: BOMNAE_KEY_DATA}}\n"
        "our-own:\n  title_ko: 새 자료\n  title_en: New\n  description_ko: 새\n  description_en: New\n"
        "  subject: safety\n  owner_ko: 안전과\n  owner_en: Safety\n  source: 시청\n  licence: KOGL 1\n"
        f"  columns: [{new}]\n",
        encoding="utf8",
    )
    found = with_changes(pack, own)
    assert found[name].connector is not None
    assert found[name].model_copy(update={"connector": None}) == pack[name]
    assert [one for one in found if one not in pack] == ["our-own"]


def test_a_file_beside_the_pack_that_is_wrong_or_missing_says_where(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    with pytest.raises(PackError, match="no such file"):
        with_changes({}, own)
    own.write_text("bus-stops:\n  connector: {by: telepathy}\n", encoding="utf8")
    with pytest.raises(PackError) as caught:
        with_changes(load_datasets(BUNDLED / "chuncheon" / "datasets"), own)
    assert (caught.value.file, caught.value.line) == ("own.yaml", 2)
