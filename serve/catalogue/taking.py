"""Bytes of a source into what is kept of a refresh. Pure; `worker` runs it in a process that can die alone."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import shapely

from actors.catalogue.reading.answers import envelope
from actors.catalogue.reading.city import Bounds, City
from actors.catalogue.reading.loading import Loaded
from actors.catalogue.reading.read import read, read_records
from schemas.catalogue import Counted, Refresh
from schemas.dataset import Dataset, Layout
from schemas.errors import InvalidError
from serve.catalogue.rows import conformed

_SEOUL = ZoneInfo("Asia/Seoul")
MOST_KINDS, MOST_NAMES = 200, 300
"""Kinds of findings that an event counts, the most frequent, and names of columns that it tells: strangers may bring
very many, and events are kept."""
_MOMENTS = {"time", "date"}
NO_COLUMNS = hashlib.sha256(b"").hexdigest()
"""The schema digest of an answer without any row, which tells of no column."""


@dataclass(frozen=True, slots=True)
class Job:
    """What came for a dataset: pages of bytes to be read as `reading` says.

    `area` is the city as WKB, `bounds` its bounds in degrees where that is not known; `before` are the rows of the
    newest version (Parquet), where new rows join them. `now` bounds what counts as the newest moment of the rows.
    """

    dataset: Dataset
    reading: Layout
    pages: Sequence[bytes]
    source: str
    mark: str
    now: datetime
    area: bytes = b""
    bounds: Bounds | None = None
    before: bytes = b""


@dataclass(frozen=True, slots=True)
class Taken:
    """The refresh, with the objects that it names: rows and (where there are any) findings, as Parquet."""

    refresh: Refresh
    rows: bytes
    listing: bytes = field(default=b"")


def take(job: Job) -> Taken:
    """Read, clean and check it. Raises `InvalidError` for what cannot be read at all."""
    city = City(shapely.from_wkb(job.area) if job.area else None, job.bounds)
    loaded = _read(job, city)
    rows, completeness = loaded.rows, loaded.completeness
    if job.before:
        rows = joined(conformed(pl.read_parquet(io.BytesIO(job.before)), job.dataset), rows, job.dataset.key)
        completeness = _completeness(job.dataset, rows)
    stored = _parquet(rows)
    listing = _parquet(loaded.findings) if len(loaded.findings) else b""
    refresh = Refresh(
        version=hashlib.sha256(stored).hexdigest(),
        token="0" * 8,  # whoever stores it gives it one
        rows=len(rows),
        received=loaded.received,
        dropped=loaded.dropped,
        bytes=len(stored),
        findings=tuple(Counted.model_validate(one) for one in loaded.summary.head(MOST_KINDS).to_dicts()),
        listing=hashlib.sha256(listing).hexdigest() if listing else None,
        header=loaded.header[:MOST_NAMES],
        schema_digest=loaded.schema_digest or NO_COLUMNS,
        completeness=completeness,
        data_time=newest_moment(job.dataset, rows, job.now),
        source=job.source,
        mark=job.mark,
        took_s=0,
    )
    return Taken(refresh, stored, listing)


def joined(before: pl.DataFrame, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows of before with the new ones, which replace those of the same key; `_row` numbers them anew."""
    whole = pl.concat([before, rows], how="diagonal_relaxed").unique(list(key), keep="last", maintain_order=True)
    return whole.select(rows.columns).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row"))


def newest_moment(dataset: Dataset, rows: pl.DataFrame, now: datetime) -> datetime | None:
    """The newest moment up to now that a column of times or days tells of; a day counts from its beginning (Seoul).

    It is shown to everybody, so personal columns are passed over.
    """
    found: list[datetime] = []
    for column in dataset.columns:
        if column.kind in _MOMENTS and column.personal is None:
            values = rows[column.id].drop_nulls()
            last: Any = values.filter(values <= (now if column.kind == "time" else now.astimezone(_SEOUL).date())).max()
            if last is not None:
                moment = last if isinstance(last, datetime) else datetime.combine(last, time(), _SEOUL)
                found.append(moment.astimezone(now.tzinfo))
    return max(found, default=None)


def _read(job: Job, city: City) -> Loaded:
    if len(job.pages) == 1:
        return read(job.pages[0], job.reading, job.dataset, city)
    if job.reading.format not in {"json", "xml"}:
        raise InvalidError(f"only JSON and XML come in pages, not {job.reading.format}")
    records = [one for page in job.pages for one in envelope(page, job.reading).records]
    return read_records(records, job.dataset, city)


def _completeness(dataset: Dataset, rows: pl.DataFrame) -> float:
    held = rows.select(pl.sum_horizontal(pl.col(one.id).count() for one in dataset.columns)).item()
    return held / (len(rows) * len(dataset.columns)) if len(rows) else 0.0


def _parquet(rows: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    rows.write_parquet(sink, compression="zstd", statistics=True)
    return sink.getvalue()


def packed(job: Job) -> tuple[dict[str, Any], list[bytes]]:
    """A job as JSON and bytes."""
    said = {
        "dataset": job.dataset.model_dump(mode="json"),
        "reading": job.reading.model_dump(mode="json", include=set(Layout.model_fields)),
        "source": job.source,
        "mark": job.mark,
        "now": job.now.isoformat(),
        "bounds": job.bounds,
    }
    return said, [job.area, job.before, *job.pages]


def unpacked(said: dict[str, Any], parts: Sequence[bytes]) -> Job:
    """Inverse of `packed`."""
    area, before, *pages = parts
    return Job(
        Dataset.model_validate(said["dataset"]),
        Layout.model_validate(said["reading"]),
        pages,
        said["source"],
        said["mark"],
        datetime.fromisoformat(said["now"]),
        area,
        said["bounds"] and tuple(said["bounds"]),
        before,
    )


def told(taken: Taken) -> bytes:
    """The refresh as JSON."""
    return orjson.dumps(taken.refresh.model_dump(mode="json"))
