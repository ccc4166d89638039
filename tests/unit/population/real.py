"""The real files, where they are present."""

import os
from pathlib import Path

import polars as pl
import pytest
import shapely

SHARED = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data"
BOARDINGS = SHARED / "population" / "chuncheon_bus_hourly_boardings_20251209.csv"
GEOCODED = SHARED / "population" / "chuncheon_stop_hour_boardings_geocoded_derived.csv"
GRID = SHARED / "population" / "chuncheon_500m_grid_final.csv"
ACCESS = SHARED / "facilities" / "chuncheon_500m_grid_access_time.csv"
STOPS = SHARED / "facilities" / "chuncheon_bus_stops_20260326.csv"
BOUNDARY = SHARED / "boundaries" / "chuncheon_emd_202104.geojson"
FILES = (BOARDINGS, GEOCODED, GRID, ACCESS, STOPS, BOUNDARY)
needs_files = pytest.mark.skipif(not all(path.exists() for path in FILES), reason=f"the real files are not in {SHARED}")


def read(path: Path) -> pl.DataFrame:
    """All cells as texts, as they are uploaded."""
    return pl.read_csv(path, infer_schema=False)


def city() -> shapely.Geometry:
    return shapely.union_all(shapely.get_parts(shapely.from_geojson(BOUNDARY.read_text(encoding="utf8"))))


def places() -> pl.DataFrame:
    return read(GEOCODED).select(place="정류장아이디", name="정류장명", lon="lon", lat="lat")
