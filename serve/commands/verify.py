"""`bomnae verify`: rebuild every shard and compare; look for the objects that they name, and for those of nobody."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import orjson
from rich.table import Table

from actors.host import wall_clock
from actors.orphans import SAFE_AFTER, orphans
from actors.presence import Finding
from actors.verify import Verified
from actors.verify import verify as check
from schemas.errors import ObjectError
from schemas.settings import Settings
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import out, progress
from streams.subjects import log_stream


async def verify(settings: Settings, json: bool) -> None:
    """Check all shards of the instance and print what was found; starts NATS for it where the city is stopped.

    Raises `DivergenceError` for the first difference, and `ObjectError` where objects are not as the logs say, after
    all of them were printed. Orphans are counted where they are older than an hour: younger ones may still be on their
    way into a log.
    """
    async with connected(settings, "verify", start=True) as connection:
        counts = await shards_of(connection, settings)
        shards = [(name, number) for name, count in counts.items() for number in range(count)]
        with progress() as bars:
            tasks = {log_stream(*key): bars.add_task("{} {}".format(*key), total=None) for key in shards}
            found = await check(
                connection, shards, lambda log, done, newest: bars.update(tasks[log], completed=done, total=newest)
            )
        nobodys = await orphans(connection, shards, wall_clock() - SAFE_AFTER)
    by_folder = Counter(name.partition("/")[0] for name in nobodys)
    findings = [finding for one in found for finding in one.findings]
    if json:
        out.print(orjson.dumps({"shards": [asdict(one) for one in found], "orphans": by_folder}).decode(), markup=False)
    else:
        _tell(found, findings, by_folder)
    if findings:
        raise ObjectError(len(findings), findings[0].object)


def _tell(found: Sequence[Verified], findings: Sequence[Finding], by_folder: Counter[str]) -> None:
    table = Table("log", "sequence", "commits", "snapshots", "passed over", "objects", "digest")
    for one in found:
        figures = (one.sequence, one.commits, one.snapshots, one.passed_over, one.objects)
        table.add_row(one.log, *(f"{figure:,}" for figure in figures), one.digest)
    out.print(table)
    out.print(f"{len(found)} shards hold: replay gives the same events and the same state, bit for bit")
    for bad in findings:
        where = f"{bad.context} {bad.shard}, {bad.entity}"
        out.print(f"! {where}: {bad.object} is {bad.what}; {bad.remedy}", markup=False)
    for folder, count in sorted(by_folder.items()):
        out.print(f"{count:,} objects of {folder}/ are named by nobody since an hour or more", markup=False)
