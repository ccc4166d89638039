"""Erasable objects that no log refers to: what a backup took along that is newer than its logs."""

from collections.abc import Iterable

from actors.host import CONTEXTS, ShardKey
from actors.replay import load
from streams.connection import Connection

_KINDS = ("blocks", "cases", "datasets", "population")
_OWNERS = frozenset({"sighting", "person", "population", "catalogue"})
"""Contexts that refer to objects."""


async def erase_orphans(connection: Connection, shards: Iterable[ShardKey]) -> list[str]:
    """Erase them, where no owner is at work; their names. `shards` are all shards of the city.

    Raises `DivergenceError` or `LogGapError` where a log cannot be folded; nothing is erased then.
    """
    held: set[str] = set()
    for name, number in shards:
        context = CONTEXTS[name]()
        if name in _OWNERS:
            snapshots = await connection.snapshots(name, number)
            store, ingest = connection.store(name, number), connection.ingest(name, number)
            held.update(context.objects((await load(context, store, ingest, snapshots)).domain))
    blobs = connection.objects().blobs
    orphans = [name for kind in _KINDS for name in await blobs.names(kind) if name not in held]
    for name in orphans:
        await blobs.delete(name)
    return orphans
