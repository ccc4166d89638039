"""Who is where when: means of protected counts by cell and time slot, over days that a slot was counted in whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import shapely
from polars.dataframe.group_by import GroupBy

from actors.population.grid import centres
from schemas.errors import InvalidError
from schemas.population import MEANINGS, Measure, SourceFacts
from serve.population.slots import SLOTS, Slot
from serve.population.suppress import Protected

_ALL_DAY = (SLOTS["day"],)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked. `days` are first and last (both included), `weekdays` numbers from Monday = 0; None: all.

    `area` (WGS84) takes the cells whose middle lies in it; `cells` names them. `partial`: take days that were not
    counted in whole, too, for the slots that they were.
    """

    measure: Measure
    slots: tuple[Slot, ...] = _ALL_DAY
    days: tuple[date, date] | None = None
    weekdays: frozenset[int] | None = None
    area: shapely.Geometry | None = None
    cells: frozenset[str] | None = None
    partial: bool = False


class Retired(NamedTuple):
    """Since when (RFC 3339, UTC) nothing more comes of a source, and why; None where that was not kept."""

    at: str
    why: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer: `cells` with a row per cell and slot, `totals` with one per slot.

    Both say `slot`, `count` (the sum over `days` days), `hidden` (how many counts of a cell, hour and day were too
    small to be told, and are in no sum), `mean` and `at_most`. `mean` is per day for boardings and alightings, and per
    hour for people who are there; null where all that there is is hidden. With the hidden counts it is under `at_most`.
    """

    source: str
    facts: SourceFacts
    asked: Asked
    below: int
    cells: pl.DataFrame
    totals: pl.DataFrame
    days: tuple[date, ...]
    left_out: tuple[date, ...]
    retired: Retired | None = None

    def described(self) -> dict[str, Any]:
        """What the answer is, and is not: measure, denominator, days, what is hidden; in Korean and English."""
        meaning, some = MEANINGS[self.facts.measure], len(self.left_out)
        per_ko, per_en = _PER[meaning.adds]
        return {
            "source": self.source,
            "source_ko": self.facts.title_ko,
            "source_en": self.facts.title_en,
            "provider": self.facts.provider,
            "licence": self.facts.licence,
            "synthetic": self.facts.synthetic,
            "retired_at": self.retired.at if self.retired is not None else None,
            "retired_why": self.retired.why if self.retired is not None else None,
            "measure": self.facts.measure,
            "measure_ko": meaning.ko,
            "measure_en": meaning.en,
            "not_ko": meaning.not_ko,
            "not_en": meaning.not_en,
            "unit_ko": meaning.unit_ko,
            "unit_en": meaning.unit_en,
            "denominator_ko": per_ko,
            "denominator_en": per_en,
            "zone": "Asia/Seoul",
            "days": list(self.days),
            "days_left_out": list(self.left_out),
            "days_ko": f"{len(self.days)}일" + (f", 일부 시간만 집계된 {some}일 제외" if some else ""),
            "days_en": f"{len(self.days)} days" + (f", {some} that were counted in part left out" if some else ""),
            "hidden_below": self.below,
            "hidden_ko": f"셀·시간·일별 {self.below} 미만은 숨기며 합계와 평균에도 넣지 않음",
            "hidden_en": f"counts under {self.below} of a cell, hour and day are hidden, and in no sum or mean",
        }


_PER = {
    True: ("집계된 날 하루 평균, 시간대 안의 시간은 합산", "mean per day that counts, hours of the slot added up"),
    False: ("집계된 날의 시간당 평균", "mean per hour of the slot, over the days that count"),
}


def answer(
    source: str,
    facts: SourceFacts,
    days: pl.DataFrame,
    counts: Protected,
    asked: Asked,
    retired: Retired | None = None,
) -> Answer:
    """The means of a source. `days` are its rows of `DAYS` (`day`, `hours`, `whole`), `counts` those of these days.

    `retired` marks the answer, and changes nothing else of it.

    Raises `InvalidError` where the source counts something else than what is asked, for hours in which it counts
    nothing, and where no day is left. Never reads a clock.
    """
    _same_measure(source, facts, asked)
    hourly = MEANINGS[facts.measure].hourly
    slots = [_within(slot, facts, source) for slot in asked.slots]
    wanted = days.select("day", "hours", "whole").filter(chosen(asked)).sort("day")
    serving = pl.concat([_serving(wanted, slot, facts, partial=asked.partial) for slot in slots])
    used = sorted(serving["day"].unique())
    if not used:
        which = "whole day" if not asked.partial else "day"
        raise InvalidError(
            f"source {source!r} has no {which} among those asked for: it has {_some(days, hourly=hourly)}"
        )
    hours = pl.DataFrame([(slot.id, hour) for slot in slots for hour in slot.hours], _HOURS, orient="row")
    rows = _in_area(counts.rows.filter(pl.col("day").is_in(used)), asked)
    rows = rows.join(hours, on="hour").join(serving, on=("slot", "day"), how="semi")
    sizes = _sizes(serving, hours, adds=MEANINGS[facts.measure].adds)
    cells = _means(rows.group_by("cell", "slot"), sizes, counts.below)
    totals = _means(rows.group_by("slot"), sizes, counts.below, keep_empty=True)
    order = {slot.id: number for number, slot in enumerate(slots)}
    place = pl.col("slot").replace_strict(order, return_dtype=pl.UInt32)
    left_out = tuple(day for day in wanted["day"] if day not in set(used))
    cells, totals = cells.sort("cell", place), totals.sort(place)
    return Answer(source, facts, asked, counts.below, cells, totals, tuple(used), left_out, retired)


_HOURS = pl.Schema({"slot": pl.String(), "hour": pl.UInt8()})


def _same_measure(source: str, facts: SourceFacts, asked: Asked) -> None:
    if facts.measure != asked.measure:
        has, wants = MEANINGS[facts.measure], MEANINGS[asked.measure]
        raise InvalidError(
            f"source {source!r} counts {facts.measure} ({has.ko}), not {asked.measure} ({wants.ko}): never mix them"
        )
    if not MEANINGS[facts.measure].hourly and asked.slots != _ALL_DAY:
        raise InvalidError(f"{facts.measure} are not told by the hour: ask without hours")


def _within(slot: Slot, facts: SourceFacts, source: str) -> Slot:
    """The hours of a slot in which the source counts at all."""
    hours = tuple(hour for hour in slot.hours if hour in facts.hours) if MEANINGS[facts.measure].hourly else (0,)
    if not hours:
        raise InvalidError(f"source {source!r} counts nothing in {slot.en}: it counts in the hours {list(facts.hours)}")
    return Slot(slot.id, slot.ko, slot.en, hours)


def chosen(asked: Asked) -> pl.Expr:
    """Which rows with a `day` are of the days and weekdays asked for."""
    wanted = pl.lit(value=True)
    if asked.days is not None:
        wanted &= pl.col("day").is_between(*asked.days)
    if asked.weekdays is not None:
        wanted &= (pl.col("day").dt.weekday() - 1).is_in(sorted(asked.weekdays))
    return wanted


def _serving(days: pl.DataFrame, slot: Slot, facts: SourceFacts, *, partial: bool) -> pl.DataFrame:
    """`slot, day`: the days whose counts stand for a slot: whole ones, and of the others those that have all its hours.

    Of a day that is not whole an hour beside one that is missing may itself be cut, so it does not count as had.
    """
    missing = pl.lit(list(facts.hours), pl.List(pl.UInt8)).list.set_difference("hours").cast(pl.List(pl.Int16))
    doubtful = pl.concat_list(missing, missing.list.eval(pl.element() - 1), missing.list.eval(pl.element() + 1))
    has = pl.lit(list(slot.hours), pl.List(pl.Int16)).list.set_intersection(doubtful).list.len() == 0
    # Judged by the hours of today: those of a source may have been corrected since.
    whole = pl.col("whole") & (missing.list.len() == 0)
    served = days.filter(whole | has) if partial else days.filter(whole)
    return served.select(pl.lit(slot.id).alias("slot"), "day")


def _in_area(rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    if asked.cells is not None:
        rows = rows.filter(pl.col("cell").is_in(sorted(asked.cells)))
    if asked.area is not None:
        cells = rows["cell"].unique()
        inside = np.asarray(shapely.contains_xy(asked.area, *centres(cells)), dtype=bool)
        rows = rows.filter(pl.col("cell").is_in(cells.filter(pl.Series(inside)).implode()))
    return rows


def _sizes(serving: pl.DataFrame, hours: pl.DataFrame, *, adds: bool) -> pl.DataFrame:
    """`slot, days, of`: the days of a slot, and what its sum is divided by."""
    many = serving.group_by("slot").agg(pl.len().alias("days")).join(hours.group_by("slot").len("hours"), on="slot")
    return many.select("slot", "days", (pl.col("days") * (1 if adds else pl.col("hours"))).alias("of"))


def _means(groups: GroupBy, sizes: pl.DataFrame, below: int, *, keep_empty: bool = False) -> pl.DataFrame:
    sums = groups.agg(pl.col("count").sum(), pl.col("count").null_count().alias("hidden"))
    joined = sums.join(sizes, on="slot", how="right" if keep_empty else "inner").with_columns(
        pl.col("count").fill_null(0.0), pl.col("hidden").fill_null(0)
    )
    mean, most = pl.col("count") / pl.col("of"), (pl.col("count") + pl.col("hidden") * below) / pl.col("of")
    nothing = (pl.col("count") == 0) & (pl.col("hidden") > 0)
    return joined.with_columns(pl.when(~nothing).then(mean).alias("mean"), most.alias("at_most")).drop("of")


def _some(days: pl.DataFrame, *, hourly: bool) -> str:
    told: Sequence[tuple[date, bool]] = days.sort("day").select("day", "whole").rows()
    return ", ".join(f"{day}{'' if whole or not hourly else ' (in part)'}" for day, whole in told[:10]) or "none"
