import json
from typing import Any

import jsonschema
import pytest

from schemas.api import Reading
from schemas.registry import EVENTS
from streams.asyncapi import document
from streams.codec import SYNTHETIC
from streams.feed import CASE, PRIVATE, PUBLIC

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
