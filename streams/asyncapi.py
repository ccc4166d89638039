"""The AsyncAPI 3.0 document of every subject that outsiders use, generated from the models."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from schemas.api import Reading
from schemas.base import Event
from schemas.registry import EVENTS
from schemas.road import ClearingRow
from schemas.tables import MAX_READINGS, READINGS
from streams import codec, subjects
from streams.feed import CASE, POSITION, PRIVATE, PUBLIC
from streams.publish import MSG_ID
from streams.rejected import REASON, SOURCE_SEQUENCE, TRUNCATED
from streams.samples import sample

READING_TYPE = "city.facility.reading.v1"
_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_PROTOCOLS = {"nats": "nats", "ws": "ws", "wss": "wss", "mqtt": "mqtt", "tls": "nats"}
_DESCRIPTION = """\
Every subject that devices, gateways, feeds and apps use. Over MQTT a `/` in the topic stands for each `.`.

Over NATS and WebSocket the attributes of CloudEvents 1.0 are headers (binary mode); MQTT 3.1.1 has no headers: send
structured CloudEvents JSON there, or an Arrow IPC stream. Who gives no name may subscribe to `city.pub.>`. Every
message comes at least once: `ce-id` tells repeats, and a message without `ce-id` does not come from the city.

매 시설·도로 사건이 이 주제들로 나갑니다.
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


class _Document:
    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {"CloudEventHeaders": _headers()}

    def inputs(self) -> None:
        """What devices, gateways and feeds send."""
        reading = self._model("Reading", Reading, "validation")
        self._message("reading", READING_TYPE, reading, [sample(reading, self.schemas)])
        self.messages["readings"] = {
            "title": "A batch of readings",
            "contentType": codec.ARROW,
            "payload": {"type": "string", "format": "binary", "description": _arrow()},
        }
        row = self._model("ClearingRow", ClearingRow, "validation")
        self.messages["clearing"] = {
            "title": "Clearing states of a road's segments",
            "contentType": codec.JSON,
            "payload": {"type": "array", "items": {"$ref": f"{_SCHEMAS}ClearingRow"}},
            "examples": [{"payload": [sample(row, self.schemas)]}],
        }
        both = ("reading", "readings")
        self._channel("readings", subjects.raw("facility", "{facility}", subjects.READINGS), both, "receive")
        by_gateway = subjects.raw("facility", "{facility}", f"{subjects.GATEWAY_PREFIX}{{gateway}}")
        self._channel("gatewayReadings", by_gateway, both, "receive")
        self._channel("clearing", subjects.raw("road", "{road}", subjects.CLEARING), ("clearing",), "receive")

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
        schema = TypeAdapter(model).json_schema(mode=mode, ref_template=f"{_SCHEMAS}{{model}}")
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


def _text_headers(names: Mapping[str, str], required: list[str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in names.items()}
    return {"type": "object", "properties": properties, "required": required}


def _arrow() -> str:
    columns = ", ".join(f"`{field.name}` {field.type}" for field in READINGS)
    return f"Arrow IPC stream of at most {MAX_READINGS:,} rows: {columns}; optionally `unit` string."
