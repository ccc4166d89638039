"""Erasable objects that no log refers to: what a writer that died left, and what a backup took along of later times."""

from collections.abc import Iterable

from actors.host import CONTEXTS, ShardKey
from actors.presence import ERASABLE
from actors.replay import load
from streams.connection import Connection

SAFE_AFTER = 3_600_000_000
"""µs after which an object that nobody names is no longer on its way into a log: it is stored before its command."""


async def orphans(connection: Connection, shards: Iterable[ShardKey], before: int | None = None) -> list[str]:
    """The names of objects that no newest state names, sorted by context; `shards` are all those of their contexts.

    `before` (µs UTC): only those last written before it; needed while the city runs, with a moment `SAFE_AFTER` ago.
    Changes nothing. Raises `DivergenceError` or `LogGapError` where a log cannot be folded.
    """
    keys = [key for key in shards if key[0] in ERASABLE]
    blobs = connection.objects().blobs
    # The folders first: an object that is stored from here on is none of those listed.
    listed: dict[str, int] = {}
    for folder in dict.fromkeys(ERASABLE[name].folder for name, _ in keys):
        listed |= await blobs.written(folder)
    held: set[str] = set()
    for name, number in keys:
        context, snapshots = CONTEXTS[name](), await connection.snapshots(name, number)
        store, ingest = connection.store(name, number), connection.ingest(name, number)
        held.update(context.objects((await load(context, store, ingest, snapshots)).domain))
    return [name for name, at in listed.items() if name not in held and (before is None or at < before)]


async def erase_orphans(connection: Connection, shards: Iterable[ShardKey]) -> list[str]:
    """Erase the orphans of shards of which no owner is at work, whatever their age; their names.

    Safe to repeat. Raises as `orphans` does; nothing is erased then.
    """
    return await _erased(connection, await orphans(connection, shards))


async def sweep(connection: Connection, shards: Iterable[ShardKey], now: int) -> list[str]:
    """Erase the orphans that are older than `SAFE_AFTER` at `now` (µs UTC) beside running owners; their names.

    Only of contexts whose names never come back (`Erasable.once`): elsewhere the same bytes may be stored again under
    the name while this deletes it. `shards` are all those of their contexts. Safe to repeat. Raises as `orphans` does;
    nothing is erased then.
    """
    safe = [key for key in shards if key[0] in ERASABLE and ERASABLE[key[0]].once]
    return await _erased(connection, await orphans(connection, safe, now - SAFE_AFTER))


async def _erased(connection: Connection, names: list[str]) -> list[str]:
    for name in names:
        await connection.objects().blobs.delete(name)
    return names
