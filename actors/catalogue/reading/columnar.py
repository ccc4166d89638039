"""Parquet, looked at before it is unpacked."""

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from actors.catalogue.reading.source import Limits, Source, of_frame
from schemas.errors import InvalidError


def parse(data: bytes, limits: Limits) -> Source:
    """The columns of a Parquet file; binary ones are read as WKB (as GeoParquet has it). Raises `InvalidError`."""
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            about = file.metadata
            limits.check(about.num_rows, about.num_columns)
            size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
        if size > limits.unpacked:
            raise InvalidError(f"the file is larger than {limits.unpacked:,} bytes once it is unpacked")
        return of_frame(pl.read_parquet(io.BytesIO(data)))
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise InvalidError(f"the file cannot be read as Parquet: {error}") from error
