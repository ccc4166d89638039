import json
import re
from datetime import datetime
from typing import Any

import jsonschema
import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas.api import Reading
from schemas.registry import EVENTS
from schemas.sighting import Sighting
from streams.asyncapi import document
from streams.codec import SYNTHETIC
from streams.feed import CASE, PRIVATE, PUBLIC
from streams.permissions import Kind, grant
from tests.unit.facility.scenario import T0, City

DOCUMENT = document(
    {"nats": "nats://127.0.0.1:4222", "browsers": "ws://127.0.0.1:9222", "mqtt": "mqtt://127.0.0.1:1883"}
)
TOLD = [kind for kind, event in EVENTS.items() if event.context not in PRIVATE]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
CHANNELS: dict[str, Any] = DOCUMENT["channels"]


def test_the_document_is_the_same_each_time_and_plain_json() -> None:
    again = document(
        {"nats": "nats://127.0.0.1:4222", "browsers": "ws://127.0.0.1:9222", "mqtt": "mqtt://127.0.0.1:1883"}
    )
    assert json.dumps(DOCUMENT) == json.dumps(again)
    assert DOCUMENT["servers"]["browsers"] == {"host": "127.0.0.1:9222", "protocol": "ws"}


@pytest.mark.parametrize("kind", TOLD)
def test_every_event_has_a_staff_channel_and_a_public_one_where_citizens_may_see_it(kind: str) -> None:
    event = EVENTS[kind]
    name = kind.split(".")[2]
    assert (
        CHANNELS[f"staff{event.__name__}"]["address"] == f"city.staff.{event.context}.{{{event.entity_field}}}.{name}"
    )
    assert (f"public{event.__name__}" in CHANNELS) is (kind in PUBLIC)


@pytest.mark.parametrize("key", [key for key, message in MESSAGES.items() if "examples" in message])
def test_every_example_is_valid_under_its_own_schema(key: str) -> None:
    for example in MESSAGES[key]["examples"]:
        schema = {**MESSAGES[key]["payload"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(example["payload"])


@pytest.mark.parametrize("kind", TOLD)
def test_every_staff_example_is_an_event_that_the_program_reads(kind: str) -> None:
    (example,) = MESSAGES[f"staff{EVENTS[kind].__name__}"]["examples"]
    assert EVENTS[kind].model_validate(example["payload"]).type == kind


def test_of_cases_and_sightings_the_document_shows_the_watch_hit_alone() -> None:
    told = {EVENTS[kind].__name__ for kind in EVENTS if EVENTS[kind].context in PRIVATE}
    assert {key for key in CHANNELS if any(key.endswith(name) for name in told)} == {"caseWatchHit"}
    assert CHANNELS["caseWatchHit"]["address"] == "city.case.{case}.watch-hit"
    (example,) = MESSAGES["caseWatchHit"]["examples"]
    (kind,) = CASE
    assert EVENTS[kind].model_validate(example["payload"]).type == kind


def test_the_example_of_a_reading_is_a_reading() -> None:
    (example,) = MESSAGES["reading"]["examples"]
    Reading.model_validate(example["payload"])


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_is_kept_from_citizens_is_not_in_the_public_schema(kind: str) -> None:
    name = EVENTS[kind].__name__
    public = DOCUMENT["components"]["schemas"][f"Public{name}"]
    assert not PUBLIC[kind] & set(public["properties"])
    assert PUBLIC[kind] < set(DOCUMENT["components"]["schemas"][name]["properties"])


def test_the_headers_say_that_what_is_made_up_is_labelled() -> None:
    label = DOCUMENT["components"]["schemas"]["CloudEventHeaders"]["properties"][SYNTHETIC]
    assert label["enum"] == ["true"]
    assert "made up" in label["description"]


OUTSIDERS: dict[Kind, tuple[str, ...]] = {
    "device": ("bridge-1",),
    "gateway": ("main-road",),
    "camera": ("cam-1",),
    "camera-gateway": (),
}


@pytest.mark.parametrize("kind", OUTSIDERS)
def test_every_subject_that_a_sender_may_publish_on_is_a_channel(kind: Kind) -> None:
    received = {one["channel"]["$ref"] for one in DOCUMENT["operations"].values() if one["action"] == "receive"}
    addresses = [channel["address"] for key, channel in CHANNELS.items() if f"#/channels/{key}" in received]
    patterns = [re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(address)) for address in addresses]
    for subject in grant(kind, "x", OUTSIDERS[kind]).publish:
        assert any(re.fullmatch(pattern, subject) for pattern in patterns), subject


def test_a_reading_in_a_structured_cloud_event_is_described_and_counts() -> None:
    (example,) = MESSAGES["readingEvent"]["examples"]
    assert MESSAGES["readingEvent"]["contentType"] == "application/cloudevents+json"
    for channel in ("readings", "gatewayReadings"):
        assert set(CHANNELS[channel]["messages"]) == {"reading", "readingEvent", "readings"}
    city = City().bridge(sensor=example["payload"]["data"]["sensor"])
    arrived = (datetime.fromisoformat(example["payload"]["data"]["time"]) - T0).total_seconds()
    city.send(city.message(orjson.dumps(example["payload"]), arrived=arrived))
    assert city.outcome.rejections == []
    assert city.row(example["payload"]["data"]["sensor"])["count"] == 1
    event = JSONFormat().read(CloudEvent, orjson.dumps(example["payload"]))
    assert event.get_type() == "city.facility.reading.v1"


def test_the_example_of_a_sighting_is_a_sighting() -> None:
    (example,) = MESSAGES["sighting"]["examples"]
    Sighting.model_validate(example["payload"])
