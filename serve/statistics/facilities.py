"""Statistics of facilities, their sensors and alarms."""

import polars as pl

from schemas.tables import BAD
from serve.statistics.declared import Asked, Chart, Column, Facts, Statistic, bucketed, count, events, share, within

_SENSOR = (Column("facility", "시설", "facility"), Column("sensor", "센서", "sensor"))
_SYNTHETIC = Column("synthetic", "합성 자료", "synthetic")
_OF_SENSORS = frozenset({"facility", "sensor"})
_PERCENTILES = (5, 50, 95)


def _of(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    for name in ("facility", "sensor"):
        if (value := getattr(asked, name)) is not None:
            rows = rows.filter(pl.col(name) == value)
    return rows


def readings(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Of good and uncertain readings; bad ones are counted alone."""
    value = pl.col("value").filter(pl.col("quality") != BAD)
    return (
        _of(within(facts["readings"], asked), asked)
        .group_by("facility", "sensor", bucketed(asked))
        .agg(
            value.mean().alias("mean"),
            value.min().alias("min"),
            value.max().alias("max"),
            *(value.quantile(share / 100, "linear").alias(f"p{share:02}") for share in _PERCENTILES),
            value.len().cast(pl.Int64).alias("readings"),
            count(pl.col("quality") == BAD).alias("bad"),
            pl.col("synthetic").any(),
        )
        .sort("facility", "sensor", "bucket")
    )


def availability(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """The share of the window, or of what has passed of a sensor's life in it, in which it was not stale."""
    silent = {"sensor": pl.String, "last_arrival": pl.String}
    told = events(facts, "facility", silent, "sensor-registered", "sensor-stale", "sensor-restored")
    start, end = pl.lit(asked.start), pl.lit(asked.end)
    rows = (
        _of(told.rename({"entity": "facility"}), asked)
        .filter(pl.col("time") < end)
        .sort("sensor", "time", "sequence")
        .with_columns(pl.col("time").shift(-1).over("sensor").fill_null(end).alias("until"))
    )
    silence = pl.min_horizontal("until", end) - pl.max_horizontal("time", start)
    stale = pl.col("name") == "sensor-stale"
    lost = pl.when(stale & (silence > 0)).then(silence.dt.total_microseconds()).otherwise(0)
    lived = end - pl.max_horizontal(pl.col("time").min(), start)
    return (
        rows.group_by("facility", "sensor")
        .agg(
            (lost.sum() / 1e6).alias("silent_s"),
            count(stale & (pl.col("time") >= start)).alias("silences"),
            (lived.dt.total_microseconds().first() / 1e6).alias("of_s"),
            pl.col("synthetic").any(),
        )
        .with_columns((1 - pl.col("silent_s") / pl.col("of_s")).alias("availability"))
        .sort("facility", "sensor")
    )


def alarms(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Alarms that were raised in the window, and what became of them until now."""
    fields = {"alarm": pl.String, "sensor": pl.String, "level": pl.String}
    told = events(facts, "facility", fields, "alarm-raised", "alarm-acknowledged", "alarm-returned")
    rows = _of(told.rename({"entity": "facility"}), asked)
    raised = rows.filter(
        pl.col("name") == "alarm-raised", (pl.col("time") >= asked.start) & (pl.col("time") < asked.end)
    )

    def first(name: str) -> pl.LazyFrame:
        return rows.filter(pl.col("name") == name).group_by("alarm").agg(pl.col("stored_at").min().alias(name))

    acknowledged = (pl.col("alarm-acknowledged") - pl.col("stored_at")).dt.total_microseconds() / 1e6
    lasted = (pl.col("alarm-returned") - pl.col("stored_at")).dt.total_microseconds() / 1e6
    return (
        raised.join(first("alarm-acknowledged"), on="alarm", how="left")
        .join(first("alarm-returned"), on="alarm", how="left")
        .with_columns(acknowledged.alias("acknowledged_s"), lasted.alias("lasted_s"))
        .group_by("facility")
        .agg(
            pl.len().cast(pl.Int64).alias("alarms"),
            count(pl.col("level") == "danger").alias("danger"),
            share(pl.col("acknowledged_s").is_not_null()).alias("acknowledged"),
            pl.col("acknowledged_s").median().alias("acknowledged_p50_s"),
            pl.col("acknowledged_s").quantile(0.9, "linear").alias("acknowledged_p90_s"),
            share((pl.col("lasted_s") < FLEETING_S) & pl.col("acknowledged_s").is_null()).alias("fleeting"),
            pl.col("synthetic").any(),
        )
        .sort("alarms", "facility", descending=[True, False])
    )


FLEETING_S = 10.0
"""An alarm that returns sooner than anybody can react (ISA-18.2 calls it fleeting; the seconds are ours)."""

STATISTICS = (
    Statistic(
        id="readings",
        ko="시간대별 센서 측정값",
        en="Readings of sensors over time",
        unit="each sensor's own",
        denominator="readings of the bucket that counted; mean, least, greatest and percentiles without bad ones",
        source=("readings",),
        columns=(
            *_SENSOR,
            Column("bucket", "시각", "time"),
            Column("mean", "평균", "mean"),
            Column("min", "최소", "least"),
            Column("max", "최대", "greatest"),
            *(Column(f"p{share:02}", f"{share}백분위수", f"percentile {share}") for share in _PERCENTILES),
            Column("readings", "측정 수", "readings"),
            Column("bad", "불량 측정 수", "bad readings"),
            _SYNTHETIC,
        ),
        query=readings,
        chart=Chart("line", "bucket", "mean", "sensor"),
        takes=_OF_SENSORS | {"bucket"},
    ),
    Statistic(
        id="availability",
        ko="센서 가동률",
        en="Availability of sensors",
        unit="share",
        denominator="the window, from the sensor's registration on",
        source=("events",),
        columns=(
            *_SENSOR,
            Column("silent_s", "침묵 시간", "silent", "s"),
            Column("silences", "침묵 횟수", "silences"),
            Column("of_s", "기간", "of", "s"),
            _SYNTHETIC,
            Column("availability", "가동률", "availability"),
        ),
        query=availability,
        chart=Chart("bar", "sensor", "availability", "facility"),
        takes=_OF_SENSORS,
    ),
    Statistic(
        id="alarms",
        ko="시설별 경보와 확인 시간",
        en="Alarms of facilities and the time until somebody saw them",
        unit="alarms",
        denominator="alarms raised in the window, with what became of them until now",
        source=("events",),
        columns=(
            Column("facility", "시설", "facility"),
            Column("alarms", "경보", "alarms"),
            Column("danger", "위험 경보", "danger"),
            Column("acknowledged", "확인 비율", "acknowledged"),
            Column("acknowledged_p50_s", "확인 시간 중앙값", "median time to acknowledge", "s"),
            Column("acknowledged_p90_s", "확인 시간 90백분위수", "percentile 90 of it", "s"),
            Column("fleeting", "순간 경보 비율", "fleeting"),
            _SYNTHETIC,
        ),
        query=alarms,
        chart=Chart("bar", "facility", "alarms"),
        takes=_OF_SENSORS,
    ),
)
