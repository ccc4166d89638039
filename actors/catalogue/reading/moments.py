"""Dates and times in the shapes that Korean files have. Without a zone they are of Asia/Seoul."""

import polars as pl

from actors.catalogue.reading.cleaned import Cleaned

ZONE = "Asia/Seoul"

_USUAL = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_AMERICAN = r"^(\d{1,2})/(\d{1,2})/(\d{4})(\s+\d{1,2}:\d{2}(?::\d{2})?\s*[AP]M)$"
"""Month first: known by its AM and PM, which nobody else writes behind such a date."""
_EPOCH = r"^1\d{9}(?:\d{3})?$"
"""Seconds (ten digits) or milliseconds (thirteen) since 1970, up to 2033."""
_DATE = (
    r"^(?<y>\d{4})(?:\s*[-./년]\s*(?<m>\d{1,2})(?:\s*[-./월]\s*(?<d>\d{1,2})\s*[.일]?|\s*[.월]?)"
    r"|(?<mm>\d{2})(?<dd>\d{2})?)(?<rest>.*)$"
)
_HALF = r"오전|오후|(?i:[AP]\.?M\.?)"
_TIME = (
    rf"^\s*(?:\([일월화수목금토]\))?[T\s]*(?<half>{_HALF})?\s*(?<h>\d{{1,2}})\s*(?:[:시]\s*(?:(?<i>\d{{1,2}})\s*[:분]?\s*"
    rf"(?:(?<s>\d{{1,2}})(?<f>[.,]\d{{1,9}})?\s*초?)?)?|(?<ii>\d{{2}})(?<ss>\d{{2}})?)?\s*(?<half2>{_HALF})?"
    r"\s*(?<zone>Z|UTC|GMT|KST|[+-]\d{2}:?\d{2}|[+-]\d{2})?$"
)
_BLANK = r"^\s*(?:\([일월화수목금토]\))?\s*$"


def dates(text: pl.Series) -> Cleaned:
    """Date of `2026-06-10`, `20260610`, `2026.06.10`, `2026. 6. 10.`, `2026/6/10`, `2026년 6월 10일` and the like.

    Mended is a month alone (`2021-07`, its first day) and what has a time besides midnight, which is left out.
    """
    plain = text.set(~text.str.contains(r"^\d{4}-\d{2}-\d{2}$").fill_null(False), None).str.to_date(
        "%Y-%m-%d", strict=False
    )
    return _patched(text, plain, _read(text, plain).select("date", "date_mended"))


def times(text: pl.Series) -> Cleaned:
    """Datetime (UTC, microseconds) of a date as `dates` reads it with a time behind it, and of an epoch.

    Times are `08:00`, `08:00:30.5`, `오후 3:20`, `3:20 PM`, `8시 30분`, `0830`, 24:00 for the end of the day; zones
    `Z`, `+09:00`. An American `05/01/2022 12:00:03 AM` is known by its AM or PM. Mended is a date without a time, its
    midnight.
    """
    usual = (pl.lit(text).str.to_datetime(form, time_unit="us", strict=False) for form in _USUAL)
    plain = pl.select(pl.coalesce(*usual)).to_series()
    plain = plain.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return _patched(text, plain, _read(text, plain).select("time", "time_mended"))


def _patched(text: pl.Series, plain: pl.Series, found: pl.DataFrame) -> Cleaned:
    odd = text.is_not_null() & plain.is_null()
    values, mended = found.get_columns()
    return Cleaned(plain.scatter(odd.arg_true(), values), odd.scatter(odd.arg_true(), mended & values.is_not_null()))


def _read(text: pl.Series, plain: pl.Series) -> pl.DataFrame:
    """`date`, `time` (UTC) and what of each is mended, for the texts that `plain` has no value for."""
    odd = text.filter(text.is_not_null() & plain.is_null()).alias("text")
    frame = odd.str.normalize("NFKC").str.strip_chars().str.replace(_AMERICAN, "$3-$1-$2$4").to_frame()
    is_epoch = pl.col("text").str.contains(_EPOCH)
    frame = frame.select(
        pl.when(is_epoch).then(pl.col("text").cast(pl.Int64, strict=False)).alias("epoch"),
        pl.when(~is_epoch).then(pl.col("text")).str.extract_groups(_DATE).alias("date"),
    ).unnest("date")
    frame = frame.with_columns(pl.col("rest").str.extract_groups(_TIME).struct.unnest())
    bare = pl.col("rest").str.contains(_BLANK)
    no_day = pl.coalesce("d", "dd").is_null()
    return frame.select(
        _moment(bare).alias("time"), bare.fill_null(False).alias("bare"), no_day.alias("no_day")
    ).select(
        _day().alias("date"),
        ((pl.col("no_day") & pl.col("bare")) | (_local() != _local().dt.truncate("1d"))).alias("date_mended"),
        "time",
        pl.col("bare").alias("time_mended"),
    )


def _local() -> pl.Expr:
    return pl.col("time").dt.convert_time_zone(ZONE)


def _day() -> pl.Expr:
    return _local().dt.date()


def _moment(bare: pl.Expr) -> pl.Expr:
    no_day = pl.coalesce("d", "dd").is_null()
    day = pl.format("{}-{}-{}", "y", pl.coalesce("m", "mm"), pl.coalesce("d", "dd", pl.lit("1")))
    date = day.str.to_date("%Y-%m-%d", strict=False)
    half = pl.coalesce("half", "half2").str.to_lowercase().str.replace_all(".", "", literal=True)
    afternoon, is_half = half.is_in(["오후", "pm"]), half.is_not_null()
    hour = pl.col("h").cast(pl.Int64)
    hour = pl.when(is_half).then(hour % 12 + 12 * afternoon.cast(pl.Int64)).otherwise(hour)
    minute, second = (pl.coalesce(*names, pl.lit("0")).cast(pl.Int64) for names in (("i", "ii"), ("s", "ss")))
    micros = (pl.lit("0") + pl.col("f").str.replace(",", ".")).cast(pl.Float64).fill_null(0) * 1e6
    is_time = (minute < 60) & (second < 60) & ((hour < 24) | ((hour == 24) & (minute == 0) & (second == 0)))
    is_time &= ~is_half | pl.col("h").cast(pl.Int64).is_between(0, 12)
    clock = pl.duration(hours=hour, minutes=minute, seconds=second, microseconds=micros.round().cast(pl.Int64))
    local = date.cast(pl.Datetime("us")) + pl.when(bare).then(pl.duration(hours=0)).when(is_time & ~no_day).then(clock)
    there = local.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    known = (local - _offset()).dt.replace_time_zone("UTC")
    millis = pl.when(pl.col("epoch") < 10**10).then(pl.col("epoch") * 1000).otherwise(pl.col("epoch"))
    epoch = (millis * 1000).cast(pl.Datetime("us", "UTC"))
    return (
        pl.when(pl.col("epoch").is_not_null()).then(epoch).when(pl.col("zone").is_null()).then(there).otherwise(known)
    )


def _offset() -> pl.Expr:
    """How far the zone is ahead of UTC."""
    zone = pl.col("zone")
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = zone.str.extract(r"^[+-](\d{2})"), zone.str.extract(r"(\d{2})$")
    minutes = pl.when(zone.str.len_chars() > 3).then(minutes.cast(pl.Int64, strict=False)).fill_null(0)
    hours = pl.when(zone == "KST").then(9).otherwise(hours.cast(pl.Int64, strict=False).fill_null(0))
    return pl.duration(minutes=sign * (hours * 60 + minutes))
