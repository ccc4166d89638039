"""nats-server's own figures, as the metrics of a node show them."""

from collections.abc import AsyncIterator

import pytest

from schemas.settings import Settings
from serve import nats_metrics
from serve.nats_metrics import NatsMetrics
from streams.connection import Connection, access_of
from streams.server import EmbeddedServer
from tests.integration.hosted import SHARDS, create, settings_for


def values(text: bytes) -> dict[str, int]:
    lines = [line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: int(value) for name, value in lines}


@pytest.fixture
async def settings(nats_server: EmbeddedServer) -> Settings:
    found = settings_for(nats_server.folder)
    await create(found, nats_server)
    return found


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[Connection]:
    opened = await Connection.open(access_of(settings), "api")
    yield opened
    await opened.close()


async def test_streams_are_there_with_their_limits_and_who_is_connected(
    settings: Settings, connection: Connection
) -> None:
    before = values(await NatsMetrics(settings.data).text(connection))
    await connection.observe("city.raw.facility.bridge-1.readings", {}, b"x" * 5_000)
    after = values(await NatsMetrics(settings.data).text(connection))
    assert (before["bomnae_nats_up"], before["bomnae_nats_connections"]) == (1, 1)
    assert before["bomnae_nats_slow_consumers_total"] == 0
    messages, size, most = (
        f'bomnae_nats_stream_{what}{{stream="INGEST_FACILITY"}}' for what in ("messages", "bytes", "max_bytes")
    )
    assert after[messages] - before[messages] == 1
    assert after[size] - before[size] > 5_000
    assert after[most] == 64_000_000
    logs = [name for name in after if name.startswith('bomnae_nats_stream_bytes{stream="LOG_')]
    assert len(logs) == sum(SHARDS.values())


async def test_a_server_that_is_away_is_said_to_be(
    settings: Settings, connection: Connection, nats_server: EmbeddedServer
) -> None:
    nats_server.stop()
    assert values(await NatsMetrics(settings.data).text(connection)) == {"bomnae_nats_up": 0}
    assert values(await NatsMetrics(settings.data).text(None)) == {"bomnae_nats_up": 0}


async def test_who_asks_often_is_told_the_same_again(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, streams_of = [], nats_metrics.streams_of

    async def counted(*nc: object) -> object:
        asked.append(nc)
        return await streams_of(connection.nc)

    monkeypatch.setattr(nats_metrics, "streams_of", counted)
    metrics = NatsMetrics(settings.data)
    assert len({await metrics.text(connection) for _ in range(20)}) == 1
    assert len(asked) == 1
