"""The load test on the openLAB research bridge (TU Dresden, 6 May 2025) as a facility with eleven recorded sensors.

Read as uploaded: the tidy table of every tenth row, one column per channel, one row per second. `force_sum_kN` is
computed and `u_target_mm` prescribed, so neither is a sensor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from schemas.base import Command
from schemas.errors import InvalidError
from schemas.facility import FacilityFacts, Limit, RegisterFacility, RegisterSensor, SensorFacts, SensorKind
from schemas.tables import BAD, GOOD, READINGS

FACILITY = "openlab-bridge"
ATTRIBUTION = "Herbers, Richter, Walker, Marx (TU Dresden), doi:10.25532/OPARA-852, CC BY-SA 4.0"
"""To be shown wherever these readings are."""

LASER_RANGE_MM = 65.0
"""Beyond it the test's authors take a laser's beam as obstructed; the prescribed displacement ends at 60."""
FORCE_RANGE_KN = 500.0
"""Rated load of the load cells (HBK C6A); the recording holds a fault value of -1,000,000."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A column of the table as a sensor. Values outside `low` to `high` are faults of the instrument."""

    sensor: str
    column: str
    kind: SensorKind
    unit: str
    name_ko: str
    low: float | None = None
    high: float | None = None
    limits: tuple[Limit, ...] = ()


def _high(warning: float, danger: float) -> tuple[Limit, ...]:
    """Example limits that must hold for 3 s, 5 % hysteresis."""
    return (
        Limit(condition="high", level="warning", on=warning, off=0.95 * warning, on_delay_s=3, off_delay_s=3),
        Limit(condition="high", level="danger", on=danger, off=0.95 * danger, on_delay_s=3, off_delay_s=3),
    )


def _low(warning: float, danger: float) -> tuple[Limit, ...]:
    return (
        Limit(condition="low", level="warning", on=warning, off=0.95 * warning, on_delay_s=3, off_delay_s=3),
        Limit(condition="low", level="danger", on=danger, off=0.95 * danger, on_delay_s=3, off_delay_s=3),
    )


def _laser(number: int, place: str, limits: tuple[Limit, ...]) -> Channel:
    return Channel(
        f"openlab-laser-{number}", f"laser{number}_mm", "displacement", "mm", f"변위 {number} ({place})",
        -LASER_RANGE_MM, LASER_RANGE_MM, limits,
    )  # fmt: skip


# Warning at span/800, the usual limit of deflection: axes 10, 20 and 30 stand 15 m apart, so 18.75 mm. Danger at 40 mm,
# the prescribed displacement of the fifth of seven runs: an example, chosen so that the last two runs alarm.
_DEFLECTION = _high(18.75, 40.0)

CHANNELS: tuple[Channel, ...] = (
    # Examples: two thirds and nine tenths of the greatest compression that the seven runs reached (-157 µm/m).
    Channel("openlab-strain", "strain_um_m", "strain", "µm/m", "변형률", limits=_low(-105.0, -140.0)),
    # Examples: the fourth run stays below 150 kN, the sixth nears 190 kN.
    Channel("openlab-force-north", "force_N_kN", "force", "kN", "하중 (북)", -FORCE_RANGE_KN, FORCE_RANGE_KN,
            _high(150.0, 185.0)),
    Channel("openlab-force-south", "force_A_kN", "force", "kN", "하중 (남)", -FORCE_RANGE_KN, FORCE_RANGE_KN,
            _high(150.0, 185.0)),
    # Safety-Act grades C and D of crack width; the recording stays far below.
    Channel("openlab-crack", "crack_disp_mm", "crack-width", "mm", "균열 변위", limits=_high(0.3, 0.5)),
    Channel("openlab-temperature", "temp_bridge_C", "temperature", "°C", "교량 온도", -50.0, 120.0),
    Channel("openlab-ambient", "temp_ambient_C", "temperature", "°C", "외기 온도", -50.0, 120.0),
    _laser(1, "x = 7.79 m", _low(-18.75, -40.0)),
    _laser(2, "x = 15.00 m", ()),
    _laser(3, "x = 19.68 m", _DEFLECTION),
    _laser(4, "x = 24.30 m", _DEFLECTION),
    _laser(5, "x = 30.00 m", ()),
)  # fmt: skip


def commands(at: datetime, by: str) -> list[Command]:
    """What makes a city know the bridge and its sensors; the same again changes nothing. It has no position here."""
    facts = FacilityFacts(
        name_ko="openLAB 연구교량 (드레스덴 공대)", name_en="openLAB research bridge (TU Dresden)", kind="bridge"
    )
    sensors = [
        RegisterSensor(
            at=at, by=by, facility=FACILITY, sensor=one.sensor,
            facts=SensorFacts(
                kind=one.kind, unit=one.unit, name_ko=one.name_ko, low=one.low, high=one.high, limits=one.limits,
                recorded=True,
            ),
        )
        for one in CHANNELS
    ]  # fmt: skip
    return [RegisterFacility(at=at, by=by, facility=FACILITY, facts=facts), *sensors]


def read(path: Path, boot: int = 0) -> pa.Table:
    """The readings (`schemas.tables.READINGS`) in order of event time, channels of a second side by side.

    `sequence` is the row's number in the file, so a second replay under the same `boot` counts nothing twice; a replay
    with shifted times is another recording and needs a greater `boot`. A value outside its channel's range is BAD:
    exactly the rows that the file marks `laser_obstructed` for the laser concerned, and the fault value of the load
    cells. Raises `InvalidError` when the file is not that table.
    """
    columns = [one.column for one in CHANNELS]
    try:
        table = pl.read_csv(path, columns=["time_utc", *columns], try_parse_dates=True)
        wide = table.select(
            pl.col("time_utc").cast(pl.Datetime("us", "UTC")).alias("time"),
            pl.int_range(1, pl.len() + 1, dtype=pl.UInt64).alias("sequence"),
            *(pl.col(one.column).cast(pl.Float64).alias(one.sensor) for one in CHANNELS),
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidError(f"{path} is not the tidy table of the openLAB load test: {error}") from error
    return _long(wide, boot).to_arrow().cast(READINGS)


def _long(wide: pl.DataFrame, boot: int) -> pl.DataFrame:
    ranges = pl.DataFrame(
        {
            "sensor": [one.sensor for one in CHANNELS],
            "low": [one.low for one in CHANNELS],
            "high": [one.high for one in CHANNELS],
            "place": list(range(len(CHANNELS))),
        },
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )
    outside = (pl.col("value") < pl.col("low")) | (pl.col("value") > pl.col("high"))
    return (
        wide.unpivot(index=["time", "sequence"], variable_name="sensor", value_name="value")
        .drop_nulls("value")
        .join(ranges, on="sensor", how="left")
        .sort("time", "sequence", "place")
        .select(
            pl.col("sensor").cast(pl.Enum([one.sensor for one in CHANNELS])),
            "time",
            "value",
            "sequence",
            pl.lit(boot, pl.UInt32).alias("boot"),
            pl.when(outside.fill_null(value=False)).then(BAD).otherwise(GOOD).cast(pl.UInt8).alias("quality"),
        )
    )


def chunks(readings: pa.Table, rows: int) -> Iterator[pa.Table]:
    """The readings in pieces of at most `rows` rows, in order."""
    for begin in range(0, readings.num_rows, rows):
        yield readings.slice(begin, rows)
