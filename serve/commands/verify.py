"""`bomnae verify`: rebuild every shard and compare."""

from dataclasses import asdict

import orjson
from rich.table import Table

from actors.verify import verify as check
from schemas.settings import Settings
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import out, progress
from streams.subjects import log_stream


async def verify(settings: Settings, json: bool) -> None:
    """Check all shards of the instance and print what was found; starts NATS for it where the city is stopped.

    Raises `DivergenceError` for the first difference.
    """
    async with connected(settings, "verify", start=True) as connection:
        counts = await shards_of(connection, settings)
        shards = [(name, number) for name, count in counts.items() for number in range(count)]
        with progress() as bars:
            tasks = {log_stream(*key): bars.add_task("{} {}".format(*key), total=None) for key in shards}
            found = await check(
                connection, shards, lambda log, done, newest: bars.update(tasks[log], completed=done, total=newest)
            )
    if json:
        out.print(orjson.dumps({"shards": [asdict(one) for one in found]}).decode(), markup=False)
        return
    table = Table("log", "sequence", "commits", "snapshots", "passed over", "digest")
    for one in found:
        figures = (one.sequence, one.commits, one.snapshots, one.passed_over)
        table.add_row(one.log, *(f"{figure:,}" for figure in figures), one.digest)
    out.print(table)
    out.print(f"{len(found)} shards hold: replay gives the same events and the same state, bit for bit")
