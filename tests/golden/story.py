"""What the golden logs tell: every command, and every event at least once. All of it is synthetic."""

from typing import Any

import orjson

from schemas import area
from schemas import facility as f
from schemas import person as p
from schemas import road as r
from schemas import sighting as s
from schemas.base import Command, micros
from streams.codec import ARROW, JSON
from streams.ingest import Observed
from tests.golden import records
from tests.golden.clock import Step
from tests.golden.clock import moment as _at
from tests.unit.facility.scenario import arrow
from tests.unit.sighting import scenario as seen

BRIDGE, TILT, ALARM = "bridge-1", "bridge-1-tilt-1", "bridge-1-tilt-1.high-danger.1"
CAMERA = "cam-1"
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


def judged() -> list[Step]:
    """An alarm is taken for real, found to be false, and found so once more when it has left the list."""
    limit, facts = f.Limit(condition="high", level="danger", on=1.0, off=0.9), f.SensorFacts(kind="tilt", unit="°")
    bridge = f.FacilityFacts(name_ko="소양2교", name_en="Soyang 2 Bridge", kind="bridge", synthetic=True)
    return [
        _ask(0, f.RegisterFacility, facts=bridge),
        _ask(1, f.RegisterSensor, sensor=TILT, facts=facts.model_copy(update={"limits": (limit,), "synthetic": True})),
        _hear(10, 1, [(TILT, 10, 2.0, 1, 1, 0)]),
        _ask(11, f.JudgeAlarm, alarm=ALARM, verdict="real"),
        _ask(20, f.JudgeAlarm, alarm=ALARM, verdict="false", note="점검 차량 · an inspection vehicle"),
        _ask(30, f.AcknowledgeAlarm, alarm=ALARM),
        _hear(40, 2, [(TILT, 40, 0.0, 2, 1, 0)]),
        _ask(86_400, f.JudgeAlarm, alarm=ALARM, verdict="false"),
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


def person() -> list[Step]:
    """A child is looked for, found and forgotten; another case runs out of time."""
    case, late = "case-5d1f0c2b9a7e4836", "case-00c0ffee00c0ffee"
    facts: dict[str, Any] = {
        "kind": "minor",
        "authority": "춘천서-2026-0117",
        "legal_ground": "실종아동등의 보호 및 지원에 관한 법률 제9조",
        "reason": "하교 후 미귀가 · not home from school",
        "officer": "officer",
    }
    seen = [
        p.Candidate(
            sighting=f"20260115T0{hour}0000.1",
            camera=f"cam-{hour}",
            time=_at(-3600 * hour),
            model="body-example",
            score=0.8,
            probability=None if hour == 3 else 0.5,
        )
        for hour in (1, 2, 3)
    ]
    coverage = p.Coverage(
        shards=2,
        shards_answered=1,
        rows_permitted=1000,
        rows_scanned=900,
        cameras=94,
        cameras_silent=("cam-9",),
        hours_missing=1.5,
        exact=False,
        recall=0.99,
    )
    asked: dict[str, Any] = {"query": "5d" * 32, "models": ("body-example",)}
    search = {"window": r.Window(start=_at(-86_400), end=_at(0)), "cameras": 94, "coverage": coverage, **asked}
    watch = {**asked, "query": "77" * 32, "min_probability": 0.5, "cameras": ("cam-1",)}
    first, second = seen[0].id, seen[1].id
    return [
        _of(case, 0, p.OpenCase, facts=p.CaseFacts(expires_at=_at(86_400), **facts)),
        _of(late, 1, p.OpenCase, facts=p.CaseFacts(expires_at=_at(600), **facts)),
        _of(case, 10, p.AuthoriseCase, by="inspector"),
        _of(late, 11, p.AuthoriseCase, sole=True),
        _of(case, 20, p.RecordSearch, search="search-1", candidates=tuple(seen), **search),
        _of(case, 21, p.RecordView, what="candidates"),
        _of(case, 22, p.RecordView, what="picture", candidate=first),
        _of(case, 23, p.ConfirmCandidate, candidate=first, reason="가방 · the bag"),
        _of(case, 24, p.DismissCandidate, candidate=second, reason="어른 · an adult"),
        _of(case, 30, p.StartWatch, watch="watch-1", **watch),
        _of(late, 31, p.StartWatch, watch="watch-2", **watch),
        _of(case, 40, p.RecordHits, watch="watch-1", hits=tuple(seen[1:]), by="search-1-0-0"),
        _of(case, 50, p.EndWatch, watch="watch-1", reason="충분함 · enough"),
        (700, None),
        _of(case, 800, p.CloseCase, outcome="found", reason="집에서 발견 · found at home"),
        _of(case, 810, p.CompleteCaseErasure, objects=("5d" * 32, "77" * 32), erasures=("erasure-1",)),
    ]


def lagged() -> list[Step]:
    """A search is answered by a shard that has not read everything."""
    case = "case-1a66ed0000000003"
    coverage: dict[str, Any] = {"shards": 2, "shards_answered": 2, "rows_permitted": 9, "rows_scanned": 9, "cameras": 1}
    coverage |= {"cameras_silent": (), "hours_missing": 0.0, "exact": True, "recall": None}
    said: dict[str, Any] = {"query": "5d" * 32, "models": ("m",), "cameras": 1, "coverage": p.Coverage(**coverage)}
    said |= {"window": r.Window(start=_at(-86_400), end=_at(0)), "candidates": ()}
    facts = p.CaseFacts(
        kind="minor", authority="a", legal_ground="l", reason="r", officer="officer", expires_at=_at(86_400)
    )
    return [
        _of(case, 0, p.OpenCase, facts=facts),
        _of(case, 10, p.AuthoriseCase, by="inspector"),
        _of(case, 20, p.RecordSearch, search="search-1", **said),
        _of(case, 30, p.RecordSearch, search="search-2", lag=p.Lag(shards=1, seconds=7.5, records=10, why="x"), **said),
    ]


def asked() -> list[Step]:
    """A search says what it asked, and each officer's word on a candidate counts."""
    case = "case-a5ced00000000002"
    circle, shape = area.Circle(lon=127.73, lat=37.88, radius_m=1500), ((127.7, 37.8), (127.8, 37.8), (127.8, 37.9))
    polygon = area.Polygon(type="Polygon", coordinates=((*shape, shape[0]),))
    first = p.Candidate(sighting="1", camera="cam-1", time=_at(-60), model="m", score=0.8, probability=None)
    second = first.model_copy(update={"sighting": "2"})
    coverage: dict[str, Any] = {"shards": 1, "shards_answered": 1, "rows_permitted": 2, "rows_scanned": 2, "cameras": 1}
    coverage |= {"cameras_silent": (), "hours_missing": 0.0, "exact": True, "recall": None}
    said: dict[str, Any] = {"query": "5d" * 32, "models": ("m",), "cameras": 1, "coverage": p.Coverage(**coverage)}
    said |= {"window": r.Window(start=_at(-86_400), end=_at(0)), "candidates": (first, second)}
    filters: dict[str, Any] = {"cameras": ("cam-1",), "evidence": ("lower",), "hard": ("upper",), "min_quality": 0.4}
    photo = p.Asked(photos=1, like=None, areas=("4211051000", polygon, circle), limit=20, **filters)
    like = p.Asked(photos=0, like=first.id, areas=(), limit=5, **filters)
    facts = p.CaseFacts(
        kind="dementia", authority="a", legal_ground="l", reason="r", officer="officer", expires_at=_at(86_400)
    )
    return [
        _of(case, 0, p.OpenCase, facts=facts),
        _of(case, 10, p.AuthoriseCase, by="inspector"),
        _of(case, 20, p.RecordSearch, search="search-1", asked=photo, **said),
        _of(case, 30, p.RecordSearch, search="search-2", asked=like, **said),
        _of(case, 40, p.ConfirmCandidate, candidate=first.id, reason="가방 · the bag", each=True),
        _of(case, 41, p.ConfirmCandidate, candidate=first.id, reason="가방 · the bag", each=True),
        _of(case, 42, p.ConfirmCandidate, candidate=first.id, reason="걸음 · the gait", each=True, by="inspector"),
        _of(case, 43, p.DismissCandidate, candidate=second.id, reason="어른 · an adult", each=True),
    ]


def sighting() -> list[Step]:
    """A camera sees three people, is asked to forget, falls silent, speaks again, and its footage grows old."""
    city = seen.City()
    known: dict[str, Any] = {"silent_after_s": 60, "retention_days": 1, "gateway": "north"}
    registered = s.RegisterCamera(at=_at(0), by="officer", camera=CAMERA, facts=seen.facts(**known))
    first = [seen.row(f"{CAMERA}.{n}", CAMERA, time=_at(n), attributes={"upper": "red"}) for n in (1, 2)]
    city.do(registered)
    city.observe(message := _sees(1, 10, seen.arrow(first)))
    (block,) = city.blocks(CAMERA)
    left, gone = "5d" * 32, "77" * 32
    erased = s.BlockErased(before=block, after=left, rows=1, left=1)
    segment = s.SegmentErased(shard="search-1-0-0", segment="1", before=gone, after=left, rows=1)
    asked: dict[str, Any] = {"reason": "정보주체 요청 · asked by the person", "case": "case-5d1f0c2b9a7e4836"}
    window = r.Window(start=_at(0), end=_at(5))
    rest = s.BlockErased(before=left, after="", rows=1, left=0)
    third = {**seen.row(f"{CAMERA}.3", CAMERA), "time": _at(205).isoformat()}
    lost = seen.row(f"{CAMERA}.4", CAMERA, time=_at(225))
    city.observe(_sees(4, 230, seen.arrow([lost])))
    unread = city.blocks(CAMERA)[-1]
    one = orjson.dumps({name: value for name, value in third.items() if value is not None})
    return [
        (0, registered),
        (10, message),
        _by(20, s.RequestErasure, erasure="erasure-1", sightings=(f"{CAMERA}.1",), **asked),
        _by(30, s.CompleteErasure, erasure="erasure-1", blocks=(erased,), segments=(segment,)),
        (35, _sees(2, 35, seen.arrow([]))),
        (120, None),
        (210, _sees(3, 210, one, JSON)),
        _by(215, s.RequestErasure, erasure="erasure-2", window=window, reason="구간 삭제 · that window"),
        _by(220, s.CompleteErasure, erasure="erasure-2", blocks=(rest,), segments=(), last=False),
        _by(221, s.CompleteErasure, erasure="erasure-2", blocks=(), segments=()),
        (230, _sees(4, 230, seen.arrow([lost]))),
        _by(240, s.RequestErasure, erasure="erasure-3", sightings=(f"{CAMERA}.4",), reason="요청 · on request"),
        _by(250, s.GiveUpBlocks, erasure="erasure-3", blocks=(unread,)),
        _by(251, s.CompleteErasure, erasure="erasure-3", blocks=(), segments=()),
        (300, _sees(5, 300, seen.arrow([seen.row(f"{CAMERA}.5", CAMERA, time=_at(299))]))),
        (90_000, None),
    ]


STORIES = {
    "facility": facility,
    "road": road,
    "person": person,
    "sighting": sighting,
    "population": records.population,
    "catalogue": records.catalogue,
}
LATER = {"person-1-2": ("person", asked), "person-1-3": ("person", lagged), "facility-2-2": ("facility", judged)}
"""Context and story by the name of the files: what came into the log with a later event, or its next version."""


def _ask(seconds: float, kind: type[Command], **fields: Any) -> Step:
    entity = {kind.entity_field: BRIDGE if kind.context == "facility" else ROAD}
    return seconds, kind(at=_at(seconds), by="officer", **entity, **fields)


def _by(seconds: float, kind: type[Command], **fields: Any) -> Step:
    return seconds, kind(at=_at(seconds), by="officer", camera=CAMERA, **fields)


def _sees(sequence: int, seconds: float, data: bytes, content_type: str = ARROW) -> Observed:
    return Observed(sequence, CAMERA, "sightings", micros(_at(seconds)), {"content-type": content_type}, data)


def _of(case: str, seconds: float, kind: type[Command], by: str = "officer", **fields: Any) -> Step:
    return seconds, kind(at=_at(seconds), by=by, case=case, **fields)


def _hear(seconds: float, sequence: int, rows: list[tuple[Any, ...]]) -> Step:
    headers = {"content-type": ARROW}
    return seconds, Observed(sequence, BRIDGE, "readings", micros(_at(seconds)), headers, arrow(rows))


def _reading(sequence: int, seconds: float, value: float, headers: dict[str, str]) -> Observed:
    """One reading as a CloudEvent: binary mode with headers, structured without, as on MQTT."""
    data: dict[str, Any] = {
        "sensor": TILT,
        "time": _at(seconds),
        "value": value,
        "sequence": 100 + sequence,
        "boot": 1,
    }
    if not headers:
        data = {"specversion": "1.0", "type": "city.facility.reading.v1", "id": f"{sequence}", "data": data}
    return Observed(sequence, BRIDGE, "readings", micros(_at(seconds)), headers, orjson.dumps(data))
