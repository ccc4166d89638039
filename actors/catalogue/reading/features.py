"""GeoJSON: properties are columns, the geometry goes where the dataset's place is declared."""

from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely

from actors.catalogue.reading.decoding import decode
from actors.catalogue.reading.findings import Findings, Said
from actors.catalogue.reading.source import Limits, Source, of_records, of_texts
from actors.catalogue.reading.trees import tree
from actors.catalogue.reading.wgs84 import Values
from schemas.dataset import Dataset, Layout, Points, Shapes
from schemas.errors import InvalidError

GEOMETRY = "geometry"
"""What the geometry's column is called for a dataset that declares no place."""
_NO_SHAPE = Said("도형을 읽을 수 없어 비워 두었습니다", "the geometry cannot be read: it is left empty")


def parse(data: bytes, reading: Layout, dataset: Dataset, findings: Findings, limits: Limits) -> Source:
    """The features of a FeatureCollection (or of one Feature), each a row.

    Its geometry is WKT in the column of `Shapes`; for `Points` it is the two coordinates, where the properties have
    none of these names. Raises `InvalidError` for other content, and where the file names another reference system than
    the dataset.
    """
    content = tree(decode(data, reading.encoding))
    features = _features(content)
    _same_crs(content, dataset)
    if odd := [place for place, one in enumerate(features) if not isinstance(one, dict)]:
        raise InvalidError(f"feature {odd[0] + 1} of the file is not a GeoJSON object")
    properties = of_records([_properties(one) for one in features], findings, limits)
    header, cells = list(properties.header), properties.cells
    if not header:
        cells = pl.DataFrame(height=len(features))
    for name, values in _places(features, dataset, findings).items():
        if name not in header:
            cells = cells.with_columns(values.alias(str(len(header))))
            header.append(name)
    return of_texts(header, cells)


def _features(content: Any) -> list[Any]:
    match content:
        case {"type": "FeatureCollection", "features": list(features)}:
            return features
        case {"type": "Feature"}:
            return [content]
        case {"features": list(features)}:
            return features
    raise InvalidError("the file is no GeoJSON: a FeatureCollection with `features` is needed")


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    """Its properties; its own id is one, too, where they have none."""
    found = feature.get("properties")
    return {key: feature[key] for key in ("id",) if key in feature} | (found if isinstance(found, dict) else {})


def _same_crs(content: dict[str, Any], dataset: Dataset) -> None:
    match content.get("crs"):
        case {"properties": {"name": str(name)}} if "EPSG" in name and dataset.geometry is not None:
            code = name.rpartition(":")[2]
            if not dataset.geometry.crs.endswith(f":{code}"):
                raise InvalidError(f"the file says EPSG:{code}, the dataset {dataset.geometry.crs}: change one of them")


def _places(features: list[dict[str, Any]], dataset: Dataset, findings: Findings) -> dict[str, pl.Series]:
    texts = [None if one.get("geometry") is None else orjson.dumps(one["geometry"]).decode() for one in features]
    shapes = np.asarray(shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore"))
    if isinstance(dataset.geometry, Points):
        shapes[shapely.get_type_id(shapes) != shapely.GeometryType.POINT] = None
    lost = pl.Series(shapely.is_missing(shapes)) & pl.Series([text is not None for text in texts], dtype=pl.Boolean)
    rows = pl.int_range(1, len(features) + 1, dtype=pl.Int64, eager=True)
    match dataset.geometry:
        case Points(x=x, y=y):
            column = x
            axes = (pl.Series(axis(shapes)).fill_nan(None).cast(pl.String) for axis in (shapely.get_x, shapely.get_y))
            found = {dataset.column(name).header: axis for name, axis in zip((x, y), axes, strict=True)}
        case Shapes(column=column):
            found = {dataset.column(column).header: _wkt(shapes)}
        case None:
            column, found = GEOMETRY, {GEOMETRY: _wkt(shapes)}
    findings.rows(
        "unreadable", "emptied", column, rows.filter(lost), pl.Series(texts, dtype=pl.String).filter(lost), _NO_SHAPE
    )
    return found


def _wkt(shapes: Values) -> pl.Series:
    return pl.Series(shapely.to_wkt(shapes, rounding_precision=-1), dtype=pl.String)
