"""Bytes of any format into a dataset's rows."""

from typing import Any, assert_never

from actors.catalogue.reading import columnar, delimited, features, sheets
from actors.catalogue.reading.answers import envelope
from actors.catalogue.reading.city import City
from actors.catalogue.reading.decoding import decode
from actors.catalogue.reading.findings import Findings
from actors.catalogue.reading.loading import Loaded, load
from actors.catalogue.reading.source import Limits, Source, of_records
from schemas.dataset import Dataset, Layout
from schemas.errors import InvalidError

_RECORDS = frozenset({"json", "xml", "geojson"})


def read(data: bytes, reading: Layout, dataset: Dataset, city: City, limits: Limits | None = None) -> Loaded:
    """The rows that `data` brings for a dataset, with all that was found on the way.

    Raises `InvalidError` for what cannot be read at all (not of its format, no column of the dataset, beyond the
    limits) and `RefusedError` for a provider's refusal.
    """
    limits, findings = limits or Limits(), Findings()
    if len(data) > limits.size:
        raise InvalidError(f"{len(data):,} bytes came, at most {limits.size:,} are read: bring them in parts")
    source = _source(data, reading, dataset, findings, limits)
    return load(source, dataset, city, findings, ordered=reading.format not in _RECORDS)


def read_records(records: list[Any], dataset: Dataset, city: City, limits: Limits | None = None) -> Loaded:
    """The rows of JSON objects, such as the records of several pages (`answers.envelope`). Raises `InvalidError`."""
    findings = Findings()
    return load(of_records(records, findings, limits), dataset, city, findings, ordered=False)


def _source(data: bytes, reading: Layout, dataset: Dataset, findings: Findings, limits: Limits) -> Source:
    match reading.format:
        case "csv":
            headers = (column.header for column in dataset.columns)
            return delimited.parse(decode(data, reading.encoding), headers, findings, limits)
        case "xlsx":
            return sheets.parse(data, reading.sheet, dataset.columns, findings, limits)
        case "geojson":
            return features.parse(data, reading, dataset, findings, limits)
        case "parquet":
            return columnar.parse(data, limits)
        case "json" | "xml":
            return of_records(envelope(data, reading).records, findings, limits)
        case _ as never:
            assert_never(never)
