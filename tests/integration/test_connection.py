"""The one connection that everything of a shard hangs on."""

from streams import credentials
from streams.connection import Access, Connection
from streams.server import EmbeddedServer


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
