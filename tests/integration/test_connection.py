"""The one connection that everything of a shard hangs on."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from streams import credentials, rejected
from streams.connection import Access, Connection
from streams.credentials import Credential
from streams.log import Position
from streams.rejected import Rejection
from streams.server import EmbeddedServer
from tests.integration.city import City


def access_to(server: EmbeddedServer) -> Access:
    own = credentials.local(server.folder, "host")
    return Access((server.url,), own.user, own.password, own.options()["inbox_prefix"])


async def test_a_connection_closes_also_when_its_server_is_gone(nats_server: EmbeddedServer) -> None:
    connection = await Connection.open(access_to(nats_server), "test")
    nats_server.stop()
    await connection.close()
    assert connection.nc.is_closed


async def test_a_connection_flushes_before_it_closes(nats_server: EmbeddedServer) -> None:
    listener = await Connection.open(access_to(nats_server), "listener")
    heard = await listener.nc.subscribe("city.pub.test")
    await listener.nc.flush()
    speaker = await Connection.open(access_to(nats_server), "speaker")
    await speaker.nc.publish("city.pub.test", b"")
    await speaker.close()
    assert (await heard.next_msg(5)).subject == "city.pub.test"
    await heard.unsubscribe()
    await listener.close()


async def say(server: Any, who: Credential, *lines: bytes) -> bytes:
    """Speak to the server as a program of the sender's own would; what it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
    await reader.readline()
    hello = {"user": who.user, "pass": who.password, "verbose": False, "pedantic": False, "headers": True}
    writer.write(b"CONNECT %b\r\n%bPING\r\n" % (orjson.dumps(hello), b"".join(lines)))
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    return answer


def named(entity: bytes) -> bytes:
    return b"PUB city.raw.facility.%b.gw-north 2\r\n{}\r\n" % entity


HOSTILE = [b"\xff", b"\xc3(", b"a\x0bb", b"a\x0cb", b"a\x1fb", b"a\x00b", "다리".encode(), b"a" * 3_900]


@pytest.mark.parametrize("entity", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_bytes_in_a_subject_end_the_connection_of_a_host(nats_server: EmbeddedServer, entity: bytes) -> None:
    city = await asyncio.to_thread(City, nats_server)
    assert await say(nats_server, city.gateway, named(entity), named(b"bridge-1"), named(b"bridge-2")) == b"PONG\r\n"
    connection, wake = await Connection.open(access_to(nats_server), "test"), asyncio.Event()
    sources = [connection.ingest("facility", shard) for shard in range(2)]
    found = []
    async with asyncio.timeout(15):
        for source in sources:
            await source.open(Position(), wake)
        while len(found) < 3:
            found += [message for source in sources for message in source.pull(100)]
            await asyncio.sleep(0.01)
    assert {"bridge-1", "bridge-2"} <= {message.entity for message in found}
    refusals = [Rejection(f"x-{m.sequence}", m.entity, m.kind, m.data, "", m.sequence) for m in found]
    await rejected.reject(connection.nc, "facility", refusals, deadline_s=2)
    kept = await rejected.listing(connection.nc)
    assert sorted(one.ingest_sequence for one in kept) == sorted(message.sequence for message in found)
    for source in sources:
        await source.close()
    await connection.close()
