"""What the golden logs tell: every command, and every event at least once. All of it is synthetic."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from schemas import facility as f
from schemas import road as r
from schemas.base import Command, micros
from streams.codec import ARROW, JSON
from streams.ingest import Observed
from tests.unit.facility.scenario import arrow

START = datetime(2026, 1, 15, 9, tzinfo=UTC)
Step = tuple[float, Command | Observed | None]
"""Seconds after `START`, and what comes then; nothing but the clock where it is None."""

BRIDGE, TILT, ALARM = "bridge-1", "bridge-1-tilt-1", "bridge-1-tilt-1.high-danger.1"
ROAD, WORK, SNOW = "jungang-ro", "gas-1", "snow-1"


def facility() -> list[Step]:
    """A bridge tilts, is seen to, and falls silent."""
    position = f.Position(lon=127.73, lat=37.89, synthetic=True)
    facts = f.FacilityFacts(
        name_ko="소양2교", name_en="Soyang 2 Bridge", kind="bridge", grade="C", position=position, synthetic=True
    )
    warning = f.Limit(condition="high", level="warning", on=0.5, off=0.4)
    danger = f.Limit(condition="high", level="danger", on=1.0, off=0.9, on_delay_s=5, off_delay_s=2)
    sensor = f.SensorFacts(
        kind="tilt", unit="°", name_ko="기울기", low=-10, high=10, stale_after_s=60, limits=(warning,), synthetic=True
    )
    return [
        _ask(0, f.RegisterFacility, facts=facts),
        _ask(1, f.RegisterSensor, sensor=TILT, facts=sensor),
        _ask(2, f.ChangeThresholds, sensor=TILT, limits=(warning, danger)),
        _ask(3, f.CalibrateSensor, sensor=TILT, gain=1.5, offset=0.25),
        _ask(4, f.ReplaceSensor, sensor=TILT, serial="TLT-2041"),
        _hear(10, 1, [(TILT, second, 0.1 * second, second, 1, 0) for second in range(10)]),
        _hear(20, 2, [(TILT, 10 + second, 1.0, 10 + second, 1, 0) for second in range(10)]),
        _ask(21, f.AcknowledgeAlarm, alarm=ALARM, note="확인 · seen"),
        _ask(22, f.ShelveAlarm, alarm=ALARM, until=_at(30), reason="센서 점검 · inspection"),
        (31, None),
        _ask(32, f.ShelveAlarm, alarm=ALARM, until=_at(3600), reason="센서 점검 · inspection"),
        _ask(33, f.UnshelveAlarm, alarm=ALARM),
        _hear(40, 3, [(TILT, 35 + second, 0.0, 35 + second, 1, 0) for second in range(5)]),
        _ask(41, f.BeginMaintenance, reason="정기 점검 · regular inspection"),
        _ask(42, f.EndMaintenance),
        (45, _reading(4, 43, 4.0, {"content-type": JSON, "ce-type": "city.facility.reading.v1"})),
        (50, _reading(5, 50, 0.0, {})),
        _ask(51, f.ClearAlarm, alarm=f"{TILT}.high-warning.2", note="오경보 · false alarm"),
        (120, None),
        (130, _reading(6, 130, 0.0, {})),
    ]


def road() -> list[Step]:
    """A road is dug up and snowed in, and cleared."""
    ids = (f"{ROAD}-1", f"{ROAD}-2")
    line = ((127.729, 37.881), (127.731, 37.883))
    segments = tuple(r.SegmentFacts(segment=one, name_ko="중앙로", length_m=200.0, line=line) for one in ids)
    facts = r.RoadFacts(name_ko="중앙로", name_en="Jungang-ro", rank="107", segments=segments, synthetic=True)
    permit: dict[str, Any] = {
        "title_ko": "가스관 교체",
        "title_en": "Gas main replacement",
        "operator": "강원도시가스 · Gangwon City Gas",
        "window": r.Window(start=_at(100), end=_at(5000)),
        "synthetic": True,
    }
    row = {"segment": ids[0], "state": "under-way", "changed_at": _at(260), "source_state": "2", "source": "feed"}
    window = r.Window(start=_at(250), end=_at(400))
    return [
        _ask(0, r.RegisterRoad, facts=facts),
        _ask(10, r.PermitWork, work=WORK, segments=ids[:1], impact="all-lanes-closed", **permit),
        _ask(11, r.PermitWork, work="water-1", segments=ids, position=f.Position(lon=127.73, lat=37.88), **permit),
        _ask(12, r.CancelWork, work="water-1", reason="예산 · budget"),
        _ask(90, r.StartWork, work=WORK),
        _ask(100, r.ExtendWork, work=WORK, until=_at(6000), reason="암반 · rock"),
        _ask(110, r.FinishWork, work=WORK),
        _ask(200, r.BeginSnow, snow=SNOW, depth_cm=4.5, synthetic=True),
        _ask(210, r.MeasureSnow, snow=SNOW, depth_cm=6.0),
        _ask(220, r.EndSnow, snow=SNOW),
        _ask(230, r.SetClearing, segment=ids[0], state="planned", changed_at=_at(225), window=window, source="desk"),
        (270, Observed(1, ROAD, "clearing", micros(_at(270)), {"content-type": JSON}, orjson.dumps([row]))),
        _ask(300, r.SetClearing, segment=ids[0], state="cleared", changed_at=_at(290)),
    ]


STORIES = {"facility": facility, "road": road}


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _ask(seconds: float, kind: type[Command], **fields: Any) -> Step:
    entity = {kind.entity_field: BRIDGE if kind.context == "facility" else ROAD}
    return seconds, kind(at=_at(seconds), by="officer", **entity, **fields)


def _hear(seconds: float, sequence: int, rows: list[tuple[Any, ...]]) -> Step:
    headers = {"content-type": ARROW}
    return seconds, Observed(sequence, BRIDGE, "readings", micros(_at(seconds)), headers, arrow(rows))


def _reading(sequence: int, seconds: float, value: float, headers: dict[str, str]) -> Observed:
    """One reading as a CloudEvent: binary mode with headers, structured without, as on MQTT."""
    data: dict[str, Any] = {"sensor": TILT, "time": _at(seconds), "value": value, "sequence": 100 + sequence, "boot": 1}
    if not headers:
        data = {"specversion": "1.0", "type": "city.facility.reading.v1", "id": f"{sequence}", "data": data}
    return Observed(sequence, BRIDGE, "readings", micros(_at(seconds)), headers, orjson.dumps(data))
