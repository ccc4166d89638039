"""What is told of a file that was counted: each day with what was placed and what was not, and why it is partial."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from schemas.population import MEANINGS, SourceFacts
from serve.population.taking import Taken

LISTED = 200
"""Places that are not in the city, listed; all are counted."""
_DOUBLED_BELOW = 0.3
"""About a half of all counts are odd; where far fewer are, most are likely to be the sum of two that are alike."""


def report(
    taken: Taken, facts: SourceFacts, events: Sequence[Mapping[str, Any]], boundary: str | None
) -> dict[str, Any]:
    """For whoever sent the file: with exact sums. `events` are those that its days led to.

    `boundary` says whose border the city has; None where none is known, so that nothing is outside.
    """
    found = taken.counted
    changed = {event["facts"]["day"]: event["replaces"] for event in events}
    beyond = sorted({hour for hours in found.days["hours"] for hour in hours} - set(facts.hours))
    return {
        "measure": facts.measure,
        "measure_ko": MEANINGS[facts.measure].ko,
        "measure_en": MEANINGS[facts.measure].en,
        "input": taken.input,
        "boundary": boundary,
        "places": taken.places,
        "days": [_day(row, facts, found.findings.cut, changed) for row in found.days.iter_rows(named=True)],
        "elsewhere": found.places.head(LISTED).to_dicts(),
        "elsewhere_count": found.places.height,
        "findings": asdict(found.findings),
        "cells_found": taken.found.drop("column")
        .group_by("kind", "action")
        .agg(pl.col("rows").sum())
        .sort(pl.all())
        .to_dicts(),
        "notes": _notes(taken, boundary, beyond),
    }


def _day(row: Mapping[str, Any], facts: SourceFacts, cut: bool, changed: Mapping[str, str | None]) -> dict[str, Any]:
    day = row["day"].isoformat()
    outcome = "unchanged" if day not in changed else "recorded" if changed[day] is None else "replaced"
    return {**row, "day": day, "outcome": outcome, **_why(row, facts, cut)}


def _why(row: Mapping[str, Any], facts: SourceFacts, cut: bool) -> dict[str, str | None]:
    """Why a day is partial; null where it is whole."""
    if row["whole"]:
        return {"partial_ko": None, "partial_en": None}
    missing = sorted(set(facts.hours) - set(row["hours"]))
    if missing:
        hours = ", ".join(map(str, missing))
        return {"partial_ko": f"{hours}시의 행이 없음", "partial_en": f"it has no rows in the hours {hours}"}
    assert cut  # noqa: S101 - a day with all hours is only partial where its file was cut off
    return {
        "partial_ko": "스프레드시트의 행 수 한도에서 잘린 파일의 마지막 날",
        "partial_en": "it is the last of a file that was cut at a spreadsheet's row limit",
    }


def _notes(taken: Taken, boundary: str | None, beyond: Sequence[int]) -> list[dict[str, str]]:
    found, notes = taken.counted.findings, []
    if boundary is None:
        notes.append(
            {
                "ko": "도시 경계(데이터셋 areas)가 없어 도시 밖의 장소를 가려내지 못함",
                "en": "no boundary of the city is known (dataset `areas`): nothing was taken for outside",
            }
        )
    if found.cut:
        notes.append(
            {
                "ko": f"{found.rows:,}행: 스프레드시트의 행 수 한도에서 잘린 파일로 보임",
                "en": f"{found.rows:,} rows: the file was most likely cut at a spreadsheet's row limit",
            }
        )
    if 0 < found.odd_share < _DOUBLED_BELOW:
        notes.append(
            {
                "ko": f"홀수가 {found.odd_share:.0%}뿐임: 두 번씩 센 것으로 보이니 절대값에 주의하고 "
                "숨김 기준을 두 배로 할 것",
                "en": f"only {found.odd_share:.0%} of the counts are odd: each was probably counted twice, so mind "
                "absolute numbers, and double the threshold",
            }
        )
    if found.alike:
        notes.append(
            {
                "ko": f"이름만 다른 같은 장소의 같은 행 {found.alike:,}개 (합 {found.alike_count:,.0f})",
                "en": f"{found.alike:,} rows are like another but for the place's name (sum {found.alike_count:,.0f})",
            }
        )
    if beyond:
        hours = ", ".join(map(str, beyond))
        notes.append(
            {
                "ko": f"{hours}시는 이 출처의 시간이 아니어서 묻는 데 쓰이지 않음",
                "en": f"the hours {hours} are none of the source's: no question finds them; correct its `hours`",
            }
        )
    return notes
