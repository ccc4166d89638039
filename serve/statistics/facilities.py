"""Statistics of facilities, their sensors and alarms."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
from polars.lazyframe.group_by import LazyGroupBy

from actors.archiving.rollups import bucket, summed
from schemas.archive import ROLLUPS
from schemas.tables import BAD
from serve.statistics.declared import (
    EVERY,
    OWN,
    Asked,
    Chart,
    Column,
    Facts,
    Statistic,
    count,
    events,
    local,
    share,
    within,
)

_SENSOR = (Column("facility", "시설", "facility"), Column("sensor", "센서", "sensor"))
_SYNTHETIC = Column("synthetic", "합성 자료", "synthetic")
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
    _SYNTHETIC,
)
_PLACE = ("facility", "sensor")
_SECONDS, _LIVED = (pl.col(name).dt.total_microseconds() / 1e6 for name in ("lasts", "lived"))
_OF_SENSORS = frozenset({"facility", "sensor"})
_PERCENTILES = (5, 50, 95)
YEAR = timedelta(weeks=52)


def _of(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    for name in ("facility", "sensor"):
        if (value := getattr(asked, name)) is not None:
            rows = rows.filter(pl.col(name) == value)
    return rows


def readings(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Of good and uncertain readings; bad ones are counted alone."""
    value = pl.col("value")
    ordered = value.drop_nulls().sort()  # once for all percentiles
    return (
        _of(within(facts["readings"], asked), asked)
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
        summed(_of(facts[_rollup(asked)].filter(days, begins), asked))
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


def availability(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """The share of the window, or of what has passed of a sensor's life in it, in which it was not stale.

    In the order of its log: of clocks that differ the log knows. Other facts end a silence only where they say that the
    sensor is not watched (any more), as the fold has it.
    """
    watch = pl.Struct({"stale_after_s": pl.Float64, "recorded": pl.Boolean})
    told = events(
        facts,
        "facility",
        {"sensor": pl.String, "facts": watch},
        *("sensor-registered", "sensor-stale", "sensor-restored"),
    )
    known, name = pl.col("facts").struct, pl.col("name")
    unwatched = known.field("stale_after_s").is_null() | known.field("recorded").fill_null(value=False)
    silent = (
        pl.when(name == "sensor-stale")
        .then(statement=True)
        .when((name == "sensor-restored") | unwatched)
        .then(statement=False)
        .forward_fill()
        .over(_PLACE)
        .fill_null(value=False)
    )
    return (
        _lasting(told, silent, asked)
        .agg(
            _SECONDS.filter("on").sum().alias("silent_s"),
            count((name == "sensor-stale") & (pl.col("time") >= asked.start)).alias("silences"),
            _LIVED.first().alias("of_s"),
            pl.col("synthetic").any(),
        )
        .with_columns((1 - pl.col("silent_s") / pl.col("of_s")).alias("availability"))
        .sort(_PLACE)
    )


def duty(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """The share of the window, or of what has passed of a sensor's life in it, in which an alarm of it was active."""
    fields = {"sensor": pl.String, "alarm": pl.String}
    told = events(facts, "facility", fields, "sensor-registered", "alarm-raised", "alarm-returned")
    name = pl.col("name")
    step = pl.when(name == "alarm-raised").then(1).when(name == "alarm-returned").then(-1).otherwise(0)
    return (
        _lasting(told, step.cum_sum().over(_PLACE) > 0, asked)
        .agg(
            _SECONDS.filter("on").sum().alias("active_s"),
            count((name == "alarm-raised") & (pl.col("time") >= asked.start)).alias("alarms"),
            _LIVED.first().alias("of_s"),
            pl.col("synthetic").any(),
        )
        .with_columns((pl.col("active_s") / pl.col("of_s")).alias("duty"))
        .sort(_PLACE)
    )


def _lasting(told: pl.LazyFrame, on: pl.Expr, asked: Asked) -> LazyGroupBy:
    """Events by sensor, in the order of their log, with whether something is on after each, and how long in the window.

    The first event is the sensor's registration.
    """
    start, end = pl.lit(asked.start), pl.lit(asked.end)
    rows = (
        _of(told.rename({"entity": "facility"}), asked)
        .filter(pl.col("time") < end)
        .sort("facility", "sensor", "sequence")
        .with_columns(on.alias("on"), pl.col("time").shift(-1).over(_PLACE).fill_null(end).alias("until"))
    )
    lasts = (pl.min_horizontal("until", end) - pl.max_horizontal("time", start)).clip(pl.duration())
    lived = end - pl.max_horizontal(pl.col("time").min().over(_PLACE), start)
    return rows.with_columns(lasts.alias("lasts"), lived.alias("lived")).group_by(_PLACE)


def alarms(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Alarms that were raised in the window, and what became of them until now."""
    fields = {"alarm": pl.String, "sensor": pl.String, "level": pl.String}
    told = events(facts, "facility", fields, "alarm-raised", "alarm-acknowledged", "alarm-returned")
    rows, key = _of(told.rename({"entity": "facility"}), asked), ("facility", "alarm")
    raised = rows.filter(
        pl.col("name") == "alarm-raised", (pl.col("time") >= asked.start) & (pl.col("time") < asked.end)
    )

    def first(name: str, time: str) -> pl.LazyFrame:
        return rows.filter(pl.col("name") == name).group_by(key).agg(pl.col(time).min().alias(name))

    # Seen after it was known, which for a late reading is later than it happened; lasted as long as its readings say.
    acknowledged = (pl.col("alarm-acknowledged") - pl.col("stored_at")).dt.total_microseconds() / 1e6
    lasted = (pl.col("alarm-returned") - pl.col("time")).dt.total_microseconds() / 1e6
    return (
        raised.join(first("alarm-acknowledged", "stored_at"), on=key, how="left")
        .join(first("alarm-returned", "time"), on=key, how="left")
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
        unit=OWN,
        denominator="readings of the bucket that counted; mean, least, greatest and percentiles without bad ones",
        source=("readings",),
        columns=(
            *_SENSOR,
            *_SPREAD,
            *(Column(f"p{share:02}", f"{share}백분위수", f"percentile {share}") for share in _PERCENTILES),
            *_COUNTED,
        ),
        query=readings,
        chart=Chart("line", "bucket", "mean", "sensor"),
        takes=_OF_SENSORS | {"bucket"},
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
            *_SENSOR,
            *_SPREAD,
            *_COUNTED,
        ),
        query=trend,
        chart=Chart("line", "bucket", "mean", "sensor"),
        takes=_OF_SENSORS | {"bucket"},
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
            *_SENSOR,
            _BUCKET,
            Column("mean", "평균", "mean"),
            Column("mean_before", "작년 평균", "mean 52 weeks before"),
            Column("change", "변화", "change"),
            _SYNTHETIC,
        ),
        query=last_year,
        chart=Chart("line", "bucket", "change", "sensor"),
        takes=_OF_SENSORS | {"bucket"},
        reads=_rollup,
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
        id="duty",
        ko="센서 경보 지속 비율",
        en="How long alarms of sensors were active",
        unit="share",
        denominator="the window, from the sensor's registration on",
        source=("events",),
        columns=(
            *_SENSOR,
            Column("active_s", "경보 시간", "with an alarm", "s"),
            Column("alarms", "경보", "alarms"),
            Column("of_s", "기간", "of", "s"),
            _SYNTHETIC,
            Column("duty", "지속 비율", "share"),
        ),
        query=duty,
        chart=Chart("bar", "sensor", "duty", "facility"),
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
