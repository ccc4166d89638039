"""`bomnae backup` and `bomnae restore`: `streams.backup` with a progress bar, on the instance of the settings."""

import asyncio
from pathlib import Path

from rich.progress import Progress, TaskID

from actors.orphans import erase_orphans
from schemas.errors import SetupError
from schemas.settings import Settings
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import out, progress
from streams import backup as backups
from streams import instance
from streams.connection import Connection
from streams.server import EmbeddedServer


async def backup(settings: Settings, folder: Path) -> None:
    """Copy streams and objects into a new folder, while the city runs or not. Credentials and secrets are not in it."""
    async with connected(settings, "backup", start=True) as connection:
        with progress() as bars:
            manifest = await backups.backup(connection.nc, folder, _bar(bars), connection.objects().blobs)
    _tell(manifest, f"saved in {folder}")


async def restore(settings: Settings, folder: Path) -> None:
    """Bring a backup into a data folder without a city, or onto outside servers without one.

    Raises `SetupError` for a damaged backup and where there is a city already; nothing is changed then.
    """
    await asyncio.to_thread(backups.read_manifest, folder)
    with progress() as bars:
        if settings.nats_urls:
            async with connected(settings, "restore") as connection:
                objects = connection.objects().blobs
                manifest = await backups.restore(connection.nc, folder, _bar(bars), settings.replicas, objects)
                await _tidy(connection, settings)
        else:
            manifest = await _into_new(settings, folder, bars)
    _tell(manifest, f"restored into {settings.data}: start it with `bomnae up`")


async def _into_new(settings: Settings, folder: Path, bars: Progress) -> backups.Manifest:
    if instance.running_pid(settings.data.absolute()) is not None:
        raise SetupError(f"a city runs on {settings.data}: restore into another data folder")
    with EmbeddedServer(settings.data, host=settings.host):
        async with connected(settings, "restore") as connection:
            manifest = await backups.restore(connection.nc, folder, _bar(bars), objects=connection.objects().blobs)
            await _tidy(connection, settings)
            return manifest


async def _tidy(connection: Connection, settings: Settings) -> None:
    """Erase the objects and snapshots that the backup's logs do not refer to: nobody else ever would."""
    counts = await shards_of(connection, settings)
    shards = [(name, number) for name, count in counts.items() for number in range(count)]
    for name, number in shards:
        snapshots = await connection.snapshots(name, number)
        await snapshots.cut(await connection.store(name, number).last_sequence())
    await erase_orphans(connection, shards)


def _bar(bars: Progress) -> backups.Progress:
    tasks: dict[str, TaskID] = {}

    def report(stream: str, done: int, expected: int) -> None:
        if stream not in tasks:
            tasks[stream] = bars.add_task(stream)
        bars.update(tasks[stream], completed=done, total=expected)

    return report


def _tell(manifest: backups.Manifest, what: str) -> None:
    size = sum(one.size for one in manifest.streams) + sum(one.size for one in manifest.objects)
    count = f"{len(manifest.streams)} streams, {len(manifest.objects)} objects"
    out.print(f"{count}, {size / 1e6:,.1f} MB, {what}", markup=False)
