"""The key figures of nats-server among the metrics of a node: it is no process of Ray's, whose agent knows its own."""

import time
from collections.abc import Iterable
from pathlib import Path

from actors.meters import Metric, exported
from schemas.errors import UnavailableError
from streams.connection import Connection
from streams.figures import ServerFigures, StreamFigures, server_of, streams_of

_KEPT_S = 2.0
"""Seconds for which the figures are told again: anybody may ask for metrics, at any rate."""
_STREAM = ("stream",)
UP = Metric("bomnae_nats_up", "gauge", "1 where nats-server answers, else 0 and no others of these", prefix="")
MESSAGES = Metric("bomnae_nats_stream_messages", "gauge", "messages in a stream", _STREAM, "")
BYTES = Metric("bomnae_nats_stream_bytes", "gauge", "bytes of a stream", _STREAM, "")
MOST = Metric("bomnae_nats_stream_max_bytes", "gauge", "its limit; -1: none", _STREAM, "")
CONNECTIONS = Metric("bomnae_nats_connections", "gauge", "clients of the embedded nats-server", prefix="")
SLOW = Metric(
    "bomnae_nats_slow_consumers", "counter", "clients that it cut off because they read too slowly", prefix=""
)
METRICS = (UP, MESSAGES, BYTES, MOST, CONNECTIONS, SLOW)


class NatsMetrics:
    """Asks over the city's connection, and the embedded server of `folder` at its monitoring port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said, self._until = b"", 0.0

    async def text(self, connection: Connection | None) -> bytes:
        """The figures in Prometheus' text format, at most 2 s old; without a server that it is away."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + _KEPT_S
            try:
                streams = await streams_of(connection.nc) if connection is not None else None
            except UnavailableError:
                streams = None
            self._said = _text(streams, await server_of(self._folder))
        return self._said


def _text(streams: list[StreamFigures] | None, server: ServerFigures | None) -> bytes:
    lines = _metric(UP, [("", int(streams is not None))])
    named = [(f'{{stream="{one.name}"}}', one) for one in streams or ()]
    for metric, field in ((MESSAGES, "messages"), (BYTES, "bytes"), (MOST, "max_bytes")):
        lines += _metric(metric, [(label, getattr(one, field)) for label, one in named])
    if server is not None:
        lines += _metric(CONNECTIONS, [("", server.connections)]) + _metric(SLOW, [("", server.slow_consumers)])
    return "\n".join([*lines, ""]).encode()


def _metric(metric: Metric, values: Iterable[tuple[str, int]]) -> list[str]:
    name = exported(metric)
    return [
        f"# HELP {name} {metric.says}",
        f"# TYPE {name} {metric.kind}",
        *(f"{name}{label} {value}" for label, value in values),
    ]
