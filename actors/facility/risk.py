"""A facility's risk level and the reasons for it, from its grade, its alarms and its silent sensors.

The rule (a configurable default: no public figure was found for how alarms combine):
- **danger** (심각): a danger alarm is active, or two different sensors warn at a facility of grade D or E;
- **caution** (주의·경계): a warning alarm is active;
- **attention** (관심): the grade is D or E, a sensor is stale, or an alarm returned to normal that nobody acknowledged;
- **normal** (정상): none of these.
A shelved alarm counts for nothing; an acknowledged one counts until its condition returns to normal.
"""

from collections.abc import Callable

from actors.facility.aggregate import Alarm, Facility
from schemas import facility as f

KIND_KO = {
    "vibration": "진동", "tilt": "기울기", "crack-width": "균열 폭", "temperature": "온도", "humidity": "습도",
    "smoke": "연기", "flame": "불꽃", "carbon-monoxide": "일산화탄소", "leakage-current": "누설 전류", "flood": "침수",
    "lift": "승강기", "gas": "가스", "power": "전력", "displacement": "변위", "strain": "변형률", "force": "하중",
    "other": "기타",
}  # fmt: skip
LEVEL_KO = {"danger": "위험", "warning": "경고"}
WATCHED_GRADES = ("D", "E")
KindOf = Callable[[str], f.SensorKind]

SEVERAL = 2
"""Warning sensors that together mean danger at a watched grade."""


_WITHOUT_RISK = (f.ThresholdsChanged, f.SensorCalibrated, f.SensorReplaced, f.AlarmJudged)
"""Events that leave all that risk is judged by as it is."""


def level(facility: Facility) -> f.Risk:
    """The risk by the rule above."""
    heard = [alarm for alarm in facility.alarms.values() if alarm.shelved_until is None]
    warned = {alarm.sensor for alarm in heard if alarm.open and alarm.level == "warning"}
    watched = facility.facts.grade in WATCHED_GRADES
    if (watched and len(warned) >= SEVERAL) or any(alarm.open and alarm.level == "danger" for alarm in heard):
        return "danger"
    if warned:
        return "caution"
    return "attention" if watched or facility.stale or heard else "normal"


def reasons(facility: Facility, kind_of: KindOf) -> tuple[str, ...]:
    """Why the risk is what it is (Korean · English), most grave first; empty where it is normal."""
    heard = [alarm for alarm in facility.alarms.values() if alarm.shelved_until is None]
    danger = sorted(_about(alarm, kind_of) for alarm in heard if alarm.open and alarm.level == "danger")
    warning = sorted(_about(alarm, kind_of) for alarm in heard if alarm.open and alarm.level == "warning")
    grade = facility.facts.grade
    rest = [f"안전등급 {grade} · safety grade {grade}"] if grade in WATCHED_GRADES else []
    rest += [f"무응답 · no data from sensor {sensor}" for sensor in sorted(facility.stale)]
    returned = sorted(alarm.id for alarm in heard if not alarm.open)
    rest += [f"미확인 해제 경보 · returned alarm {alarm} is not acknowledged" for alarm in returned]
    return (*danger, *warning, *rest)


def _about(alarm: Alarm, kind_of: KindOf) -> str:
    kind = kind_of(alarm.sensor)
    return f"{KIND_KO[kind]} {LEVEL_KO[alarm.level]} · {kind} {alarm.level} on sensor {alarm.sensor}"


def concluded(facility: Facility, kind_of: KindOf, events: list[f.FacilityEvent]) -> list[f.FacilityEvent]:
    """The events, and behind them `RiskLevelChanged` where they change the risk. Changes nothing.

    Risk is judged once all of them have happened, so that an alarm which comes shelved does not flash through.
    """
    if all(isinstance(event, _WITHOUT_RISK) for event in events):
        return events
    after = facility.copy()
    for event in events:
        after.apply(event)
    if (risk := level(after)) == facility.risk:
        return events
    why = reasons(after, kind_of)
    at = events[-1].at
    return [
        *events,
        f.RiskLevelChanged(at=at, facility=facility.id, risk=risk, was=facility.risk, reasons=why),
    ]
