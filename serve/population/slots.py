"""Time slots and weekdays as requests name them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Slot:
    """Hours of a day (Asia/Seoul) that are asked for together; 7 is 07:00 to 08:00."""

    id: str
    ko: str
    en: str
    hours: tuple[int, ...]


SLOTS: dict[str, Slot] = {
    slot.id: slot
    for slot in (
        Slot("day", "하루", "whole day", tuple(range(24))),
        Slot("commute", "출근 07–09시", "morning commute 07–09", (7, 8)),
        Slot("daytime", "낮 09–17시", "daytime 09–17", tuple(range(9, 17))),
        Slot("homeward", "퇴근 17–20시", "evening commute 17–20", (17, 18, 19)),
        Slot("evening", "저녁 20–24시", "evening 20–24", (20, 21, 22, 23)),
        Slot("night", "심야 00–05시", "night 00–05", (0, 1, 2, 3, 4)),
    )
}
"""Named slots; the borders are ours."""

_HOURS = re.compile(r"^([0-9]{1,2})(?:-([0-9]{1,2}))?$")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS_KO = "월화수목금토일"


def slot_of(text: str) -> Slot:
    """A slot by its name, or by hours: `7-9` is 07:00 to 09:00, `22-5` those from 22 and before 5, `7` one hour.

    Of a day's own hours alone: `22-5` takes the early hours of the same day. Raises `InvalidError` for anything else.
    """
    if text in SLOTS:
        return SLOTS[text]
    found = _HOURS.match(text)
    begin = int(found[1]) if found else 24
    end = int(found[2]) if found and found[2] else begin + 1
    if begin > 23 or not 0 <= end <= 24 or begin == end:
        raise InvalidError(
            f"{text!r} is no time slot: name hours as 7-9 (07:00 to 09:00), or one of {', '.join(SLOTS)}"
        )
    hours = tuple(range(begin, end)) if begin < end else (*range(end), *range(begin, 24))
    return Slot(text, f"{begin:02}–{end:02}시", f"{begin:02}–{end:02}", hours)


def slots_of(text: str) -> tuple[Slot, ...]:
    """Several, with commas between; each named once. Raises as `slot_of` does."""
    return tuple(dict.fromkeys(slot_of(one.strip()) for one in text.split(",")))


def each_hour(hours: Iterable[int]) -> tuple[Slot, ...]:
    """A slot per hour, as a map by the hour wants them."""
    return tuple(slot_of(str(hour)) for hour in hours)


def weekdays_of(text: str) -> frozenset[int]:
    """Weekdays, 0 is Monday: `mon,tue`, `월,화`, `weekday` (평일) or `weekend` (주말).

    Public holidays are not told from other days. Raises `InvalidError` for anything else.
    """
    groups = {"weekday": range(5), "평일": range(5), "weekend": (5, 6), "주말": (5, 6)}
    names: dict[str, Iterable[int]] = {**groups, **{name: (number,) for number, name in enumerate(_DAYS)}}
    names |= {name: (number,) for number, name in enumerate(_DAYS_KO)}
    asked = [one.strip().lower() for one in text.split(",")]
    if bad := [one for one in asked if one not in names]:
        raise InvalidError(f"{bad[0]!r} is no weekday: name {', '.join(_DAYS)}, weekday or weekend")
    return frozenset(number for one in asked for number in names[one])
