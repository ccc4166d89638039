import io
import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
import shapely

from actors.catalogue.reading.read import read
from actors.catalogue.reading.source import Limits
from schemas.dataset import Layout, Shapes
from schemas.errors import InvalidError
from tests.unit.catalogue.reading.declared import CITY, PLACE, dataset, found

SHAPED = dataset("name", "geometry", geometry=Shapes(column="geometry"))
POINT = {"type": "Point", "coordinates": [127.73, 37.88]}
LINE = {"type": "LineString", "coordinates": [[127.73, 37.88], [127.74, 37.89]]}


def collection(*geometries, **more):
    features = [
        {"type": "Feature", "properties": {"name": str(place)}, "geometry": one} for place, one in enumerate(geometries)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


def from_geojson(data, declared=SHAPED):
    return read(data, Layout(format="geojson"), declared, CITY)


def test_properties_are_columns_and_geometries_shapes():
    loaded = from_geojson(collection(POINT, LINE, None))

    assert loaded.rows["name"].to_list() == ["0", "1", "2"]
    assert loaded.rows["_wkt"].to_list() == ["POINT (127.73 37.88)", "LINESTRING (127.73 37.88, 127.74 37.89)", None]
    assert loaded.header == ("name", "geometry")
    assert found(loaded) == []


def test_points_fill_the_columns_of_the_place():
    declared = dataset("name", ("lon", "number"), ("lat", "number"), geometry=PLACE)

    loaded = from_geojson(collection(POINT, LINE, None), declared)

    assert loaded.rows["_lon"].to_list() == [127.73, None, None]
    assert [one[:4] for one in found(loaded)] == [(2, "lon", "unreadable", "emptied")]


def test_a_geometry_that_is_none_is_told_and_the_feature_loads():
    loaded = from_geojson(collection({"type": "Polygon", "coordinates": "here"}))

    assert loaded.rows["_wkt"].to_list() == [None]
    assert [one[:4] for one in found(loaded)] == [(1, "geometry", "unreadable", "emptied")]


def test_a_geometry_of_a_dataset_without_a_place_is_told():
    assert found(from_geojson(collection(POINT), dataset("name"))) == [
        (None, "geometry", "extra-column", "dropped", "geometry")
    ]


def test_features_may_have_ids_and_no_properties():
    features = [{"type": "Feature", "id": 7, "properties": None, "geometry": POINT}]

    loaded = from_geojson(json.dumps({"type": "FeatureCollection", "features": features}).encode(), dataset("id"))

    assert loaded.rows["id"].to_list() == ["7"]


def test_a_file_of_another_reference_system_is_refused():
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::5179"}}

    with pytest.raises(InvalidError, match="the file says EPSG:5179, the dataset EPSG:4326"):
        from_geojson(collection(POINT, crs=crs))
    declared = dataset("name", "geometry", geometry=Shapes(column="geometry", crs="EPSG:5179"))
    there = {"type": "Point", "coordinates": [1018500, 1985500]}
    assert found(from_geojson(collection(there, crs=crs), declared)) == []


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"type":"Point","coordinates":[1,2]}', b'{"features":[1]}'])
def test_what_is_no_geojson_is_refused(data):
    with pytest.raises(InvalidError, match="GeoJSON"):
        from_geojson(data)


def parquet(frame):
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def from_parquet(data, declared, limits=None):
    return read(data, Layout(format="parquet"), declared, CITY, limits)


def test_parquet_keeps_its_values_and_wkb_is_a_shape():
    at = datetime(2026, 6, 10, 8, 30, 0, 123456, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "n": [1, None],
            "x": [0.1 + 0.2, float("nan")],
            "ok": [True, False],
            "day": [date(2026, 6, 10), None],
            "at": [at, None],
            "local": [at.replace(tzinfo=None), None],
            "tags": [["a"], []],
            "geometry": [shapely.to_wkb(shapely.Point(127.73, 37.88)), b"no"],
        }
    )
    kinds = {"n": "integer", "x": "number", "ok": "boolean", "day": "date", "at": "time", "local": "time"}
    declared = dataset(*kinds.items(), "tags", "geometry", geometry=Shapes(column="geometry"))

    loaded = from_parquet(parquet(frame), declared)

    first = loaded.rows.row(0, named=True)
    assert (first["n"], first["x"], first["ok"], first["day"]) == (1, 0.1 + 0.2, True, date(2026, 6, 10))
    assert (first["at"], first["local"].hour, first["tags"]) == (at, 23, '["a"]')
    assert first["_wkt"] == "POINT (127.73 37.88)"
    assert found(loaded) == [
        (2, "x", "unreadable", "emptied", "NaN"),
        (2, "geometry", "unreadable", "emptied", "6e6f"),
    ]


def test_another_type_of_a_column_is_a_change_of_columns():
    digests = {
        from_parquet(parquet(pl.DataFrame({"a": values})), dataset("a")).schema_digest for values in ([1], ["1"])
    }

    assert len(digests) == 2


@pytest.mark.parametrize(
    ("limits", "reason"), [(Limits(rows=99), "100 rows"), (Limits(unpacked=10), "once it is unpacked")]
)
def test_parquet_beyond_the_limits_is_refused_before_it_is_unpacked(limits, reason):
    with pytest.raises(InvalidError, match=reason):
        from_parquet(parquet(pl.DataFrame({"a": range(100)})), dataset("a"), limits)


def test_what_is_no_parquet_is_refused():
    with pytest.raises(InvalidError, match="cannot be read as Parquet"):
        from_parquet(b"PAR1 no PAR1", dataset("a"))
