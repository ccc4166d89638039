"""Statistics of how well facilities are watched: silence and alarms of their sensors."""

import polars as pl
from polars.lazyframe.group_by import LazyGroupBy

from serve.statistics.declared import (
    OF_SENSORS,
    SENSOR,
    SYNTHETIC,
    Asked,
    Chart,
    Column,
    Facts,
    Statistic,
    count,
    events,
    of_sensors,
    share,
)

_PLACE = ("facility", "sensor")
_SECONDS, _LIVED = (pl.col(name).dt.total_microseconds() / 1e6 for name in ("lasts", "lived"))


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
        of_sensors(told.rename({"entity": "facility"}), asked)
        .filter(pl.col("time") < end)
        .sort("facility", "sensor", "sequence")
        .with_columns(on.alias("on"), pl.col("time").shift(-1).over(_PLACE).fill_null(end).alias("until"))
    )
    lasts = (pl.min_horizontal("until", end) - pl.max_horizontal("time", start)).clip(pl.duration())
    lived = end - pl.max_horizontal(pl.col("time").min().over(_PLACE), start)
    return rows.with_columns(lasts.alias("lasts"), lived.alias("lived")).group_by(_PLACE)


def alarms(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Alarms that were raised in the window, and what became of them until now: their newest verdict counts."""
    fields = {"alarm": pl.String, "sensor": pl.String, "level": pl.String, "verdict": pl.String}
    told = events(facts, "facility", fields, "alarm-raised", "alarm-acknowledged", "alarm-returned", "alarm-judged")
    rows, key = of_sensors(told.rename({"entity": "facility"}), asked), ("facility", "alarm")
    raised = rows.filter(
        pl.col("name") == "alarm-raised", (pl.col("time") >= asked.start) & (pl.col("time") < asked.end)
    )

    def first(name: str, time: str) -> pl.LazyFrame:
        return rows.filter(pl.col("name") == name).group_by(key).agg(pl.col(time).min().alias(name))

    newest = pl.col("verdict").sort_by("sequence").last().alias("judged")
    verdicts = rows.filter(pl.col("name") == "alarm-judged").group_by(key).agg(newest)
    # Seen after it was known, which for a late reading is later than it happened; lasted as long as its readings say.
    acknowledged = (pl.col("alarm-acknowledged") - pl.col("stored_at")).dt.total_microseconds() / 1e6
    lasted = (pl.col("alarm-returned") - pl.col("time")).dt.total_microseconds() / 1e6
    return (
        raised.join(first("alarm-acknowledged", "stored_at"), on=key, how="left")
        .join(first("alarm-returned", "time"), on=key, how="left")
        .join(verdicts, on=key, how="left")
        .with_columns(acknowledged.alias("acknowledged_s"), lasted.alias("lasted_s"))
        .group_by("facility")
        .agg(
            pl.len().cast(pl.Int64).alias("alarms"),
            count(pl.col("level") == "danger").alias("danger"),
            share(pl.col("acknowledged_s").is_not_null()).alias("acknowledged"),
            pl.col("acknowledged_s").median().alias("acknowledged_p50_s"),
            pl.col("acknowledged_s").quantile(0.9, "linear").alias("acknowledged_p90_s"),
            share((pl.col("lasted_s") < FLEETING_S) & pl.col("acknowledged_s").is_null()).alias("fleeting"),
            count(pl.col("judged").is_not_null()).alias("judged"),
            (pl.col("judged") == "false").mean().alias("false_alarms"),
            pl.col("synthetic").any(),
        )
        .sort("alarms", "facility", descending=[True, False])
    )


FLEETING_S = 10.0
"""An alarm that returns sooner than anybody can react (ISA-18.2 calls it fleeting; the seconds are ours)."""

STATISTICS = (
    Statistic(
        id="availability",
        ko="센서 가동률",
        en="Availability of sensors",
        unit="share",
        denominator="the window, from the sensor's registration on",
        source=("events",),
        columns=(
            *SENSOR,
            Column("silent_s", "침묵 시간", "silent", "s"),
            Column("silences", "침묵 횟수", "silences"),
            Column("of_s", "기간", "of", "s"),
            SYNTHETIC,
            Column("availability", "가동률", "availability"),
        ),
        query=availability,
        chart=Chart("bar", "sensor", "availability", "facility"),
        takes=OF_SENSORS,
    ),
    Statistic(
        id="duty",
        ko="센서 경보 지속 비율",
        en="How long alarms of sensors were active",
        unit="share",
        denominator="the window, from the sensor's registration on",
        source=("events",),
        columns=(
            *SENSOR,
            Column("active_s", "경보 시간", "with an alarm", "s"),
            Column("alarms", "경보", "alarms"),
            Column("of_s", "기간", "of", "s"),
            SYNTHETIC,
            Column("duty", "지속 비율", "share"),
        ),
        query=duty,
        chart=Chart("bar", "sensor", "duty", "facility"),
        takes=OF_SENSORS,
    ),
    Statistic(
        id="alarms",
        ko="시설별 경보와 확인 시간",
        en="Alarms of facilities and the time until somebody saw them",
        unit="alarms",
        denominator="alarms raised in the window, with what became of them until now; of false_alarms: those judged",
        source=("events",),
        columns=(
            Column("facility", "시설", "facility"),
            Column("alarms", "경보", "alarms"),
            Column("danger", "위험 경보", "danger"),
            Column("acknowledged", "확인 비율", "acknowledged"),
            Column("acknowledged_p50_s", "확인 시간 중앙값", "median time to acknowledge", "s"),
            Column("acknowledged_p90_s", "확인 시간 90백분위수", "percentile 90 of it", "s"),
            Column("fleeting", "순간 경보 비율", "fleeting"),
            Column("judged", "판정 수", "judged"),
            Column("false_alarms", "오경보율", "false"),
            SYNTHETIC,
        ),
        query=alarms,
        chart=Chart("bar", "facility", "alarms"),
        takes=OF_SENSORS,
    ),
)
