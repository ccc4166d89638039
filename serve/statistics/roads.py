"""Statistics of roads: works that take longer than permitted, and hours until snow is cleared."""

import polars as pl

from serve.statistics.declared import (
    SEGMENT_AREAS,
    SYNTHETIC,
    Asked,
    Chart,
    Column,
    Facts,
    Fields,
    Statistic,
    events,
    share,
    utc,
)

_OF_ROADS = frozenset({"road"})
_HOUR = 3_600_000_000


def _of(rows: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    rows = rows.rename({"entity": "road"})
    return rows if asked.road is None else rows.filter(pl.col("road") == asked.road)


def _hours(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / _HOUR


def works(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Works that finished in the window."""
    window = pl.Struct({"start": pl.String, "end": pl.String})
    fields: Fields = {"work": pl.String, "window": window, "late_s": pl.Float64}
    told = events(facts, "road", fields, "work-permitted", "work-extended", "work-finished")
    rows = _of(told, asked)
    finished = rows.filter(
        pl.col("name") == "work-finished", (pl.col("time") >= asked.start) & (pl.col("time") < asked.end)
    )
    permitted = (
        rows.filter(pl.col("name") == "work-permitted")
        .group_by("road", "work")
        .agg(
            utc(pl.col("window").struct.field("end")).last().alias("planned"),
            pl.col("synthetic").any().alias("synthetic_permit"),
        )
    )
    extended = rows.filter(pl.col("name") == "work-extended").group_by("road", "work").agg(pl.len().alias("extensions"))
    return (
        finished.join(permitted, on=("road", "work"), how="left")
        .join(extended, on=("road", "work"), how="left")
        .with_columns(_hours(pl.col("time") - pl.col("planned")).alias("beyond_h"))
        .group_by("road")
        .agg(
            pl.len().cast(pl.Int64).alias("works"),
            share(pl.col("beyond_h") > 0).alias("beyond"),
            pl.col("beyond_h").median().alias("beyond_p50_h"),
            pl.col("beyond_h").clip(0).sum().alias("beyond_total_h"),
            pl.col("extensions").fill_null(0).sum().cast(pl.Int64).alias("extensions"),
            (pl.col("synthetic") | pl.col("synthetic_permit").fill_null(value=False)).any().alias("synthetic"),
        )
        .sort("beyond_total_h", "road", descending=[True, False])
    )


def snow(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """Segments cleared in the window, from the beginning of the snow that lay on them."""
    return _spread(_cleared(facts, asked), "rank").sort("hours_p50", "rank")


def snow_by_area(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """The same by the area that the middle of each segment lies in, and rank."""
    placed = _cleared(facts, asked).join(facts[SEGMENT_AREAS], on=("road", "segment"), how="left")
    return _spread(placed, "area", "area_ko", "rank").sort("area", "rank", nulls_last=True)


def _cleared(facts: Facts, asked: Asked) -> pl.LazyFrame:
    """`road, segment, rank, hours, synthetic` of what was first cleared of a snow in the window."""
    texts = dict.fromkeys(("segment", "snow", "state", "changed_at"), pl.String)
    fields: Fields = {**texts, "facts": pl.Struct({"rank": pl.String})}
    rows = _of(events(facts, "road", fields, "road-registered", "snow-began", "clearing-changed"), asked)
    ranks = (
        rows.filter(pl.col("name") == "road-registered")
        .sort("time")
        .group_by("road")
        .agg(pl.col("facts").struct.field("rank").last().alias("rank"))
    )
    snows = rows.filter(pl.col("name") == "snow-began")
    began = snows.select("road", lay="snow", began="time", made_up="synthetic").sort("began")
    cleared = (
        rows.filter(pl.col("name") == "clearing-changed", pl.col("state") == "cleared")
        .with_columns(utc(pl.col("changed_at")).alias("cleared"))
        .filter(pl.col("cleared") < asked.end)
        .sort("cleared")
    )
    return (
        cleared.join_asof(began, left_on="cleared", right_on="began", by="road", strategy="backward")
        .filter(pl.col("began").is_not_null())
        # The first clearing of each segment after that snow began.
        .group_by("road", "segment", "lay")
        .agg(pl.col("cleared").min(), pl.col("began").first(), (pl.col("synthetic") | pl.col("made_up")).any())
        .filter(pl.col("cleared") >= asked.start)
        .join(ranks, on="road", how="left")
        .with_columns(_hours(pl.col("cleared") - pl.col("began")).alias("hours"))
    )


def _spread(cleared: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    return cleared.group_by(by).agg(
        pl.len().cast(pl.Int64).alias("segments"),
        pl.col("hours").median().alias("hours_p50"),
        pl.col("hours").quantile(0.9, "linear").alias("hours_p90"),
        pl.col("hours").max().alias("hours_max"),
        pl.col("synthetic").any(),
    )


_SPREAD = (
    Column("segments", "구간", "segments"),
    Column("hours_p50", "중앙값", "median", "h"),
    Column("hours_p90", "90백분위수", "percentile 90", "h"),
    Column("hours_max", "최대", "longest", "h"),
    SYNTHETIC,
)
_FIRST_CLEARED = "segments first cleared in the window, since the newest snow on their road began"

STATISTICS = (
    Statistic(
        id="works",
        ko="허가 기간을 넘긴 굴착공사",
        en="Works beyond the window of their first permit",
        unit="h",
        denominator="works that finished in the window; their delay against the end that was first permitted",
        source=("events",),
        columns=(
            Column("road", "도로", "road"),
            Column("works", "공사", "works"),
            Column("beyond", "지연 비율", "share beyond"),
            Column("beyond_p50_h", "지연 중앙값", "median delay", "h"),
            Column("beyond_total_h", "지연 합계", "delay in all", "h"),
            Column("extensions", "연장 횟수", "extensions"),
            SYNTHETIC,
        ),
        query=works,
        chart=Chart("bar", "road", "beyond_total_h"),
        takes=_OF_ROADS,
    ),
    Statistic(
        id="snow-clearing",
        ko="도로 등급별 제설 소요 시간",
        en="Hours from snowfall to cleared, by rank of road",
        unit="h",
        denominator=_FIRST_CLEARED,
        source=("events",),
        columns=(Column("rank", "도로 등급", "rank"), *_SPREAD),
        query=snow,
        chart=Chart("bar", "rank", "hours_p50"),
        takes=_OF_ROADS,
    ),
    Statistic(
        id="snow-clearing-areas",
        ko="읍면동·도로 등급별 제설 소요 시간",
        en="Hours from snowfall to cleared, by area and rank of road",
        unit="h",
        denominator=f"{_FIRST_CLEARED}; the area is the one in which the middle of the segment lies",
        source=("events", SEGMENT_AREAS),
        columns=(
            Column("area", "행정구역 코드", "area code"),
            Column("area_ko", "읍면동", "area"),
            Column("rank", "도로 등급", "rank"),
            *_SPREAD,
        ),
        query=snow_by_area,
        chart=Chart("bar", "area_ko", "hours_p50", "rank"),
        takes=_OF_ROADS,
    ),
)
