"""The AsyncAPI 3.0 document of every subject that outsiders use, generated from the models."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from schemas.api import Reading
from schemas.base import Event
from schemas.registry import EVENTS
from schemas.road import ClearingRow
from schemas.sighting import MAX_SIGHTINGS, SIGHTINGS, Sighting
from schemas.tables import MAX_READINGS, READINGS
from streams import codec, subjects
from streams.feed import CASE, POSITION, PRIVATE, PUBLIC
from streams.publish import MSG_ID
from streams.rejected import REASON, SOURCE_SEQUENCE, TRUNCATED
from streams.samples import sample

READING_TYPE = "city.facility.reading.v1"
_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_BY_GATEWAY = f"{subjects.GATEWAY_PREFIX}{{gateway}}"
_PROTOCOLS = {"nats": "nats", "ws": "ws", "wss": "wss", "mqtt": "mqtt", "tls": "nats"}
_DESCRIPTION = """\
Every subject that devices, gateways, feeds and apps use. Over MQTT a `/` in the topic stands for each `.`.

Over NATS and WebSocket the attributes of CloudEvents 1.0 are headers (binary mode); MQTT 3.1.1 has no headers: there a
reading is structured CloudEvents JSON, or bare, and a batch an Arrow IPC stream, known by its first bytes. Devices and
gateways come in over MQTT, cameras and apps do not. Who gives no name may subscribe to `city.pub.>`. Every message
comes at least once: `ce-id` tells repeats, and a message without `ce-id` does not come from the city.

매 시설·도로 사건이 이 주제들로 나갑니다.
"""


_CAMERAS = """\
For cameras and gateways of cameras, over NATS and WebSocket. The input is erased once its good rows are stored; what
cannot count goes to REJECTED without embedding, attributes and picture. A batch without rows is a sign of life.

카메라와 카메라 게이트웨이만 보냅니다.
"""

_PROVIDERS = """\
For providers whose credential names the dataset, over NATS and WebSocket. A message is removed once its rows are in a
version of the dataset; what cannot be read goes to REJECTED with the reason. It may come again: the rows count once.

데이터셋 제공자만 보냅니다.
"""

_OFFICERS = """\
For the officers whose credential names the case; for everybody else there is no such subject. Live by subscribing; what
is past from the consumer on `CASES` that is named like the user (pull, acknowledge). It falls silent with the case.

사건 담당 경찰관만 받습니다. 사건이 끝나면 더 이상 발행되지 않습니다.
"""


def document(servers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The document as plain data, deterministic; `servers`: addresses (`nats://…`, `ws://…`, `mqtt://…`) by name."""
    built = _Document()
    built.inputs()
    built.feed()
    built.cases()
    built.rejected()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bomnae 봄내",
            "version": version("bomnae"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": codec.JSON,
        "servers": {name: _server(url) for name, url in (servers or {}).items()},
        "channels": built.channels,
        "operations": built.operations,
        "components": {"messages": built.messages, "schemas": built.schemas},
    }


def _server(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"host": parts.netloc, "protocol": _PROTOCOLS[parts.scheme]}


class _JsonSchema(GenerateJsonSchema):
    """Without the discriminators of OpenAPI, which mean another thing in AsyncAPI; the constants of each case stay."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        return {key: value for key, value in super().tagged_union_schema(schema).items() if key != "discriminator"}


class _Document:
    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {"CloudEventHeaders": _headers(), "InputHeaders": _input_headers()}

    def inputs(self) -> None:
        """What devices, gateways and feeds send."""
        self._readings()
        self._clearing()
        self._sightings()
        self._rows()

    def _readings(self) -> None:
        one = sample(self._model("Reading", Reading, "validation"), self.schemas)
        self._input("reading", "A reading, or a list of them", "Reading", MAX_READINGS, one)
        self.messages["reading"]["name"] = READING_TYPE
        self.schemas["ReadingEvent"] = _structured(READING_TYPE, "Reading")
        self.messages["readingEvent"] = {
            "name": READING_TYPE,
            "title": "A reading in a structured CloudEvent",
            "summary": "What MQTT 3.1.1 needs, which has no headers; NATS takes it too.",
            "contentType": codec.CLOUD_EVENT,
            "payload": {"$ref": f"{_SCHEMAS}ReadingEvent"},
            "examples": [{"payload": {**sample(self.schemas["ReadingEvent"], self.schemas), "data": one}}],
        }
        self._arrow("readings", "A batch of readings", READINGS, MAX_READINGS, "; optionally `unit` string")
        kinds = ("reading", "readingEvent", "readings")
        self._channel("readings", subjects.raw("facility", "{facility}", subjects.READINGS), kinds, "receive")
        self._channel("gatewayReadings", subjects.raw("facility", "{facility}", _BY_GATEWAY), kinds, "receive")

    def _clearing(self) -> None:
        row = sample(self._model("ClearingRow", ClearingRow, "validation"), self.schemas)
        self._input("clearing", "Clearing states of a road's segments", "ClearingRow", None, [row])
        self._channel("clearing", subjects.raw("road", "{road}", subjects.CLEARING), ("clearing",), "receive")

    def _sightings(self) -> None:
        one = sample(self._model("Sighting", Sighting, "validation"), self.schemas)
        self._input("sighting", "A sighting, or a list of them", "Sighting", MAX_SIGHTINGS, one)
        missing = "; `box`, `attributes` and `picture` may be null or missing"
        self._arrow("sightings", "A batch of sightings", SIGHTINGS, MAX_SIGHTINGS, missing)
        for key, kind in (("sightings", subjects.SIGHTINGS), ("gatewaySightings", _BY_GATEWAY)):
            self._channel(key, subjects.raw("sighting", "{camera}", kind), ("sighting", "sightings"), "receive")
            self.channels[key]["description"] = _CAMERAS

    def _rows(self) -> None:
        """Rows of datasets: what they look like is each dataset's own."""
        self.messages["rows"] = {
            "title": "Rows of a dataset",
            "summary": "All of them, or rows that join those of before, as the dataset is declared.",
            "contentType": "application/octet-stream",
            "headers": {"$ref": f"{_SCHEMAS}InputHeaders"},
            "payload": {
                "type": "string",
                "format": "binary",
                "description": "JSON, XML, CSV, XLSX, GeoJSON or Parquet, as its connector says.",
            },
        }
        self._channel("rows", subjects.raw("catalogue", "{dataset}", subjects.ROWS), ("rows",), "receive")
        self.channels["rows"]["description"] = _PROVIDERS

    def feed(self) -> None:
        """What apps hear, by audience and event."""
        for event in EVENTS.values():
            if event.context in PRIVATE:
                continue
            whole = self._model(event.__name__, event, "serialization")
            self._feed_channel("staff", event, whole)
            if (hidden := PUBLIC.get(event.type)) is not None:
                kept = {name: value for name, value in whole["properties"].items() if name not in hidden}
                required = [name for name in whole.get("required", []) if name not in hidden]
                public = {**whole, "properties": kept, "required": required}
                self.schemas[f"Public{event.__name__}"] = public
                self._feed_channel("pub", event, public)

    def cases(self) -> None:
        """What the officers of a case hear, and nobody else."""
        for kind in sorted(CASE):
            event = EVENTS[kind]
            key = f"case{event.__name__}"
            whole = self._model(event.__name__, event, "serialization")
            self._message(key, event.type, whole, [sample(whole, self.schemas)])
            self._channel(key, subjects.case_subject("{case}", event.type.split(".")[2]), (key,), "send")
            self.channels[key]["description"] = _OFFICERS

    def rejected(self) -> None:
        """What operators find in REJECTED."""
        names = {REASON: "Why, percent-encoded", SOURCE_SEQUENCE: "Sequence of the whole message in INGEST"}
        names[TRUNCATED] = "Original size in bytes, where it was too large to keep whole"
        self.messages["rejected"] = {
            "title": "Input that does not count, or its refused rows, as they came",
            "contentType": "application/octet-stream",
            "headers": _text_headers(names, required=[REASON, SOURCE_SEQUENCE]),
            "payload": {"type": "string", "format": "binary"},
        }
        address = subjects.rejected_subject("{context}", "{entity}")
        self._channel("rejected", address, ("rejected",), "send")

    def _input(self, key: str, title: str, model: str, most: int | None, example: Any) -> None:
        """JSON of one `model` or a list of at most `most`."""
        one = {"$ref": f"{_SCHEMAS}{model}"}
        many = {"type": "array", "items": one, **({"maxItems": most} if most else {})}
        self.messages[key] = {
            "title": title,
            "contentType": codec.JSON,
            "headers": {"$ref": f"{_SCHEMAS}InputHeaders"},
            "payload": {"oneOf": [one, many]},
            "examples": [{"payload": example}],
        }

    def _arrow(self, key: str, title: str, schema: pa.Schema, most: int, more: str) -> None:
        columns = ", ".join(f"`{field.name}` {field.type}" for field in schema)
        text = f"Arrow IPC stream of at most {most:,} rows: {columns}{more}."
        self.messages[key] = {
            "title": title,
            "contentType": codec.ARROW,
            "headers": {"$ref": f"{_SCHEMAS}InputHeaders"},
            "payload": {"type": "string", "format": "binary", "description": text},
        }

    def _feed_channel(self, audience: str, event: type[Event], schema: dict[str, Any]) -> None:
        key = f"{'public' if audience == 'pub' else 'staff'}{event.__name__}"
        self._message(key, event.type, schema, [sample(schema, self.schemas)])
        name = event.type.split(".")[2]
        entity = f"{{{event.entity_field}}}"
        self._channel(key, subjects.feed_subject(audience, event.context, entity, name), (key,), "send")

    def _message(self, key: str, kind: str, schema: dict[str, Any], examples: list[Any]) -> None:
        self.messages[key] = {
            "name": kind,
            "title": schema.get("title", key),
            "summary": schema.get("description", ""),
            "contentType": codec.JSON,
            "headers": {"$ref": f"{_SCHEMAS}CloudEventHeaders"},
            "payload": {"$ref": f"{_SCHEMAS}{next(name for name, found in self.schemas.items() if found is schema)}"},
            "examples": [{"payload": example} for example in examples],
        }

    def _channel(self, key: str, address: str, messages: tuple[str, ...], action: str) -> None:
        parameters = [word.split("}")[0] for word in address.split("{")[1:]]
        self.channels[key] = {
            "address": address,
            "messages": {message: {"$ref": f"{_MESSAGES}{message}"} for message in messages},
            "parameters": {name: {"description": f"Id of the {name}."} for name in parameters},
        }
        self.operations[f"{action}{key[0].upper()}{key[1:]}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{key}"},
        }

    def _model(self, name: str, model: type[Any], mode: JsonSchemaMode) -> dict[str, Any]:
        schema = TypeAdapter(model).json_schema(
            mode=mode, ref_template=f"{_SCHEMAS}{{model}}", schema_generator=_JsonSchema
        )
        self.schemas |= schema.pop("$defs", {})
        self.schemas[name] = schema
        return schema


def _headers() -> dict[str, Any]:
    names = {
        codec.CE_VERSION: "1.0",
        codec.CE_ID: "The same for every delivery of the event",
        codec.CE_TYPE: "Name and version of the event; they never change",
        codec.CE_SOURCE: "`/bomnae/<context>/<shard>`",
        codec.CE_SUBJECT: "Id of the facility or road",
        codec.CE_TIME: "When it happened, RFC 3339 in UTC",
        codec.SYNTHETIC: "There where the event tells of something made up, in whole or in part: a simulated sensor",
        codec.TRACEPARENT: "W3C trace context, where known",
        POSITION: "`<context>.<shard>.<sequence>` in the log",
        MSG_ID: "Id that the server recognises repeats by",
    }
    headers = _text_headers(names, required=[codec.CE_VERSION, codec.CE_ID, codec.CE_TYPE, codec.CE_SOURCE])
    headers["properties"][codec.SYNTHETIC]["enum"] = ["true"]
    return headers


def _input_headers() -> dict[str, Any]:
    names = {
        codec.CE_VERSION: "1.0",
        codec.CE_ID: "The sender's own",
        codec.CE_TYPE: f"Of readings `{READING_TYPE}`, where it is given",
        codec.CE_SOURCE: "Who sends",
        codec.TRACEPARENT: "W3C trace context, which the events carry on",
    }
    return _text_headers(names, required=[])


def _structured(kind: str, model: str) -> dict[str, Any]:
    """The JSON format of CloudEvents 1.0 around one `model`."""
    text = {"type": "string", "minLength": 1}
    attributes = {
        "specversion": {"const": "1.0"},
        "id": {**text, "description": "The sender's own; a reading is known by sensor, boot and sequence."},
        "source": text,
        "type": {"const": kind},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": codec.JSON},
        "data": {"$ref": f"{_SCHEMAS}{model}"},
    }
    return {"type": "object", "required": ["specversion", "id", "source", "type", "data"], "properties": attributes}


def _text_headers(names: Mapping[str, str], required: list[str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in names.items()}
    return {"type": "object", "properties": properties, "required": required}
