"""What a command hears on the feed while it works: events counted, and told in a line where people want to see them."""

from collections import Counter
from typing import Any

import orjson

from streams import codec
from streams.connection import Connection
from streams.live import Said, hear
from streams.subjects import feed_subject

_NAMED = 4
"""Entities that a line names before it only counts them."""


class Heard:
    """The events of one context that staff hear, from `listen` on; each counts once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._untold: list[tuple[str, dict[str, Any]]] = []

    async def listen(self, connection: Connection, context: str, entity: str = "*") -> None:
        """Subscribe, in place when this returns."""
        await hear(connection.nc, feed_subject("staff", context, entity, "*"), self._on_event)

    def _on_event(self, said: Said) -> None:
        if (event_id := said.headers.get(codec.CE_ID, "")) in self._ids or codec.CE_TYPE not in said.headers:
            return
        self._ids.add(event_id)
        name = said.headers[codec.CE_TYPE].split(".")[2]
        self.counts[name] += 1
        event = {"event": name, **orjson.loads(said.data), "synthetic": codec.SYNTHETIC in said.headers}
        self._untold.append((said.headers[codec.CE_SUBJECT], event))

    def tell(self) -> list[str]:
        """What was heard since the last call: a line an alarm or change of risk, a line a kind of other events."""
        untold, self._untold = self._untold, []
        lines = [line for entity, event in untold if (line := _line(entity, event))]
        rest: dict[tuple[str, str], dict[str, None]] = {}
        for entity, event in untold:
            if not _line(entity, event):
                named = rest.setdefault((_kind(event), _mark(event)), {})
                named[str(event.get("segment") or event.get("sensor") or entity)] = None
        for (kind, mark), entities in rest.items():
            first = ", ".join(list(entities)[:_NAMED])
            more = f" and {len(entities) - _NAMED} more" if len(entities) > _NAMED else ""
            lines.append(f"{kind}: {first}{more}{mark}")
        return lines


def _mark(event: dict[str, Any]) -> str:
    return " (synthetic)" if event["synthetic"] else ""


def _line(entity: str, event: dict[str, Any]) -> str:
    match event["event"]:
        case "alarm-raised":
            reading = f"{event['value']:.4g} {event['unit']}, limit {event['limit']:.4g}"
            return f"alarm-raised: {event['level']} at {entity}, {event['sensor']}: {reading}{_mark(event)}"
        case "risk-level-changed":
            return f"risk-level-changed: {entity} from {event['was']} to {event['risk']}{_mark(event)}"
        case _:
            return ""


def _kind(event: dict[str, Any]) -> str:
    match event["event"]:
        case "segment-status-changed":
            return f"segment-status-changed from {event['was']} to {event['status']}"
        case "clearing-changed":
            return f"clearing-changed to {event['state']}"
        case name:
            return str(name)
