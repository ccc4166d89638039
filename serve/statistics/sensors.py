"""Statistics of what sensors measured."""

from dataclasses import replace
from datetime import timedelta

import polars as pl

from actors.archiving.rollups import bucket, summed
from schemas.archive import ROLLUPS
from schemas.tables import BAD
from serve.statistics.declared import (
    EVERY,
    OF_SENSORS,
    OWN,
    SENSOR,
    SYNTHETIC,
    Asked,
    Chart,
    Column,
    Facts,
    Statistic,
    local,
    of_sensors,
    within,
)

_BUCKET = Column("bucket", "시각", "time")
_SPREAD = (
    _BUCKET,
    Column("mean", "평균", "mean"),
    Column("min", "최소", "least"),
    Column("max", "최대", "greatest"),
)
_COUNTED = (
    Column("readings", "측정 수", "readings"),
    Column("bad", "불량 측정 수", "bad readings"),
    SYNTHETIC,
)
_PERCENTILES = (5, 50, 95)
YEAR = timedelta(weeks=52)


def readings(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Of good and uncertain readings; bad ones are counted alone."""
    value = pl.col("value")
    ordered = value.drop_nulls().sort()  # once for all percentiles
    return (
        of_sensors(within(facts["readings"], asked), asked)
        .with_columns(pl.when(pl.col("quality") != BAD).then(value))
        .group_by("facility", "sensor", bucket(EVERY[asked.bucket]))
        .agg(
            value.mean().alias("mean"),
            value.min().alias("min"),
            value.max().alias("max"),
            *(ordered.quantile(share / 100, "linear").alias(f"p{share:02}") for share in _PERCENTILES),
            value.count().cast(pl.Int64).alias("readings"),
            value.null_count().cast(pl.Int64).alias("bad"),
            pl.col("synthetic").any(),
        )
        .with_columns(local(pl.col("bucket")))
        .sort("facility", "sensor", "bucket")
    )


def _rollup(asked: Asked) -> str:
    return f"{asked.bucket}s"


def trend(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """From the roll-ups of that width: buckets that begin in the window, whole."""
    begins = (pl.col("bucket") >= asked.start) & (pl.col("bucket") < asked.end)
    days = pl.col("day").is_between(asked.start.date(), asked.end.date())
    return (
        summed(of_sensors(facts[_rollup(asked)].filter(days, begins), asked))
        .select(
            "facility",
            "sensor",
            local(pl.col("bucket")),
            pl.when(pl.col("readings") > 0).then(pl.col("total") / pl.col("readings")).alias("mean"),
            pl.col("least").alias("min"),
            pl.col("greatest").alias("max"),
            "readings",
            "bad",
            "synthetic",
        )
        .sort("facility", "sensor", "bucket")
    )


def last_year(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Beside each bucket the one of 52 weeks before, so that weekdays and holidays of the week meet their like."""
    before = replace(asked, start=asked.start - YEAR, end=asked.end - YEAR)
    then = trend(facts, before).select(
        "facility",
        "sensor",
        pl.col("bucket").dt.offset_by("52w"),
        pl.col("mean").alias("mean_before"),
        pl.col("synthetic").alias("made_up"),
    )
    return (
        trend(facts, asked)
        .join(then, on=["facility", "sensor", "bucket"], how="left")
        .select(
            "facility",
            "sensor",
            "bucket",
            "mean",
            "mean_before",
            (pl.col("mean") - pl.col("mean_before")).alias("change"),
            pl.col("synthetic") | pl.col("made_up").fill_null(value=False),
        )
        .sort("facility", "sensor", "bucket")
    )


STATISTICS = (
    Statistic(
        id="readings",
        ko="시간대별 센서 측정값",
        en="Readings of sensors over time",
        unit=OWN,
        denominator="readings of the bucket that counted; mean, least, greatest and percentiles without bad ones",
        source=("readings",),
        columns=(
            *SENSOR,
            *_SPREAD,
            *(Column(f"p{share:02}", f"{share}백분위수", f"percentile {share}") for share in _PERCENTILES),
            *_COUNTED,
        ),
        query=readings,
        chart=Chart("line", "bucket", "mean", "sensor"),
        takes=OF_SENSORS | {"bucket"},
        longest={"minute": timedelta(days=1), "hour": timedelta(days=31), "day": timedelta(days=92)},
    ),
    Statistic(
        id="trend",
        ko="장기 추세",
        en="Long trends of sensors",
        unit=OWN,
        denominator="good and uncertain readings of the buckets that begin in the window, from roll-ups",
        source=tuple(ROLLUPS),
        columns=(
            *SENSOR,
            *_SPREAD,
            *_COUNTED,
        ),
        query=trend,
        chart=Chart("line", "bucket", "mean", "sensor"),
        takes=OF_SENSORS | {"bucket"},
        reads=_rollup,
    ),
    Statistic(
        id="last-year",
        ko="작년 같은 주와 비교",
        en="Against the same week last year",
        unit=OWN,
        denominator="the buckets that begin in the window; those of 52 weeks before, null where there are none",
        source=tuple(ROLLUPS),
        columns=(
            *SENSOR,
            _BUCKET,
            Column("mean", "평균", "mean"),
            Column("mean_before", "작년 평균", "mean 52 weeks before"),
            Column("change", "변화", "change"),
            SYNTHETIC,
        ),
        query=last_year,
        chart=Chart("line", "bucket", "change", "sensor"),
        takes=OF_SENSORS | {"bucket"},
        reads=_rollup,
    ),
)
