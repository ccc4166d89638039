from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from schemas.base import Event
from schemas.facility import AlarmAcknowledged, AlarmRaised, AlarmShelved, ThresholdsChanged
from schemas.registry import EVENTS
from schemas.road import Window, WorkPermitted
from streams.feed import CASE, PRIVATE, PUBLIC, messages, project
from streams.samples import sample
from tests.unit.batches import batch_of

AT = datetime(2026, 1, 15, 3, tzinfo=UTC)
ALARM = "tilt-1.high-warning.1"
RAISED = AlarmRaised(
    at=AT,
    facility="bridge-1",
    alarm=ALARM,
    sensor="tilt-1",
    condition="high",
    level="warning",
    value=3.5,
    limit=3.0,
    unit="°",
    synthetic=True,
)
ACKNOWLEDGED = AlarmAcknowledged(at=AT, facility="bridge-1", alarm=ALARM, sensor="tilt-1", by="김하나", note="확인")


def public(event: Event) -> dict[str, object]:
    return dict(project(event))["pub"]


def test_an_alarm_is_public_as_it_is() -> None:
    assert public(RAISED) == RAISED.model_dump(mode="json")


def test_citizens_do_not_learn_who_acknowledged_and_what_was_noted_but_staff_do() -> None:
    assert public(ACKNOWLEDGED) == {
        "at": "2026-01-15T03:00:00Z",
        "facility": "bridge-1",
        "alarm": ALARM,
        "sensor": "tilt-1",
    }
    assert dict(project(ACKNOWLEDGED))["staff"]["by"] == "김하나"


def test_citizens_do_not_learn_why_an_alarm_is_shelved_nor_who_digs() -> None:
    shelved = AlarmShelved(
        at=AT, facility="bridge-1", alarm=ALARM, sensor="tilt-1", by="김하나", until=AT, reason="crane near the sensor"
    )
    assert not {"by", "reason"} & set(public(shelved))
    permitted = WorkPermitted(
        at=AT,
        road="main",
        work="w-1",
        title_ko="수도",
        title_en="Water",
        operator="Kim & Sons",
        segments=("main-1",),
        window=Window(start=AT, end=AT.replace(hour=9)),
        impact="none",
        position=None,
        synthetic=True,
    )
    assert "operator" not in public(permitted)
    assert b"Kim" not in b"".join(m.data for m in messages(batch_of([permitted])) if m.subject.startswith("city.pub."))


def test_the_configuration_of_a_sensor_is_for_staff_alone() -> None:
    assert [audience for audience, _ in project(ThresholdsChanged(at=AT, facility="bridge-1", sensor="tilt-1"))] == [
        "staff"
    ]


@pytest.mark.parametrize("kind", EVENTS)
def test_no_public_event_shows_a_person_a_note_or_an_operator(kind: str) -> None:
    if kind in PUBLIC:
        assert not {"by", "note", "operator"} & (set(EVENTS[kind].model_fields) - PUBLIC[kind])


def example(kind: str) -> Event:
    schema = EVENTS[kind].model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
    return EVENTS[kind].model_validate(sample(schema, schema.get("$defs", {})))


PRIVATE_TYPES = [kind for kind, event in EVENTS.items() if event.context in PRIVATE]


@pytest.mark.parametrize("kind", PRIVATE_TYPES)
def test_of_a_case_and_of_sightings_nobody_hears_but_the_officers_of_a_watch_hit(kind: str) -> None:
    event = example(kind)
    told = [message.subject for message in messages(batch_of([event]))]
    assert told == (["city.case.case-5d1f0c2b9a7e4836.watch-hit"] if kind in CASE else [])
    assert [audience for audience, _ in project(event)] == (["case"] if kind in CASE else [])


def test_no_type_of_a_case_or_of_sightings_is_public() -> None:
    assert len(PRIVATE_TYPES) >= 19
    assert not set(PRIVATE_TYPES) & set(PUBLIC)
    assert {kind.split(".")[1] for kind in CASE} == {"person"}


def test_a_watch_hit_tells_the_whole_event_under_an_id_of_its_own() -> None:
    (kind,) = CASE
    hit = example(kind)
    (message,) = messages(batch_of([hit], shard=1))
    assert orjson.loads(message.data) == hit.model_dump(mode="json")
    assert "person-1-" in message.head
    assert ":case" in message.head


def test_the_table_names_no_type_and_no_field_that_does_not_exist() -> None:
    for kind, hidden in PUBLIC.items():
        assert hidden <= set(EVENTS[kind].model_fields)


def test_every_message_reads_as_a_cloud_event() -> None:
    for message in messages(batch_of([RAISED, ACKNOWLEDGED], shard=2, traceparent="00-ab-cd-01")):
        event = from_binary(HTTPMessage(message.headers, message.data), JSONFormat())
        assert event.get_specversion() == "1.0"
        assert event.get_type() in {RAISED.type, ACKNOWLEDGED.type}
        assert event.get_source() == "/bomnae/facility/2"
        assert event.get_subject() == "bridge-1"
        assert event.get_time() == AT
        assert event.get_datacontenttype() == "application/json"
        assert message.headers["traceparent"] == "00-ab-cd-01"


def test_messages_stand_in_order_on_their_subjects_with_ids_of_their_own() -> None:
    made = messages(batch_of([RAISED, ACKNOWLEDGED], first=7))
    assert [message.subject for message in made] == [
        "city.pub.facility.bridge-1.alarm-raised",
        "city.staff.facility.bridge-1.alarm-raised",
        "city.pub.facility.bridge-1.alarm-acknowledged",
        "city.staff.facility.bridge-1.alarm-acknowledged",
    ]
    assert [message.headers["Bomnae-Position"] for message in made[::2]] == ["facility.0.7", "facility.0.8"]
    assert len({message.headers["Nats-Msg-Id"] for message in made}) == 4
    assert orjson.loads(made[0].data)["value"] == 3.5


def test_the_same_batch_gives_the_same_messages() -> None:
    assert messages(batch_of([RAISED, ACKNOWLEDGED])) == messages(batch_of([RAISED, ACKNOWLEDGED]))
