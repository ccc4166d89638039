"""The archive under kills: every reading and event is in it once, whenever its writer died, and however many wrote."""

import asyncio
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl

from actors.archiving.archivist import Archivist, url_of
from actors.meters import Numbers
from schemas.archive import PERSONAL
from schemas.facility import RegisterSensor
from schemas.settings import Settings
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.instance import connected
from streams import codec
from streams.archive import Archive
from streams.log import read_batches
from streams.subjects import READINGS, raw
from tests.integration.hosted import SHARDS, running, settings_for
from tests.integration.test_verify import ENTITIES, NOW, register
from tests.unit.facility.scenario import HIGH, arrow, facts
from tests.unit.road.scenario import permit, road

SENSORS = [f"tilt-{entity}" for entity in ENTITIES]
ROWS, MESSAGES = 50, 60


async def prepare(settings: Settings) -> None:
    await register(settings)
    sensors = [
        RegisterSensor(at=NOW, by="test", facility=entity, sensor=sensor, facts=facts(HIGH, recorded=True))
        for entity, sensor in zip(ENTITIES, SENSORS, strict=True)
    ]
    async with Api(settings, "test") as api:
        await api.send(calls([*sensors, road(), permit()]))


async def flow(settings: Settings, first: int = 0) -> None:
    """Readings of all sensors, each message twice; of each sensor some exceed its limit."""
    async with connected(settings, "gateway") as connection:
        for number in range(first, first + MESSAGES):
            at = number % len(ENTITIES)
            rows = range(number * ROWS, (number + 1) * ROWS)
            data = arrow([(SENSORS[at], float(n), float(n % 90), n, 1, 0) for n in rows])
            for _ in range(2):
                subject = raw("facility", ENTITIES[at], READINGS)
                await connection.observe(subject, {codec.CONTENT_TYPE: codec.ARROW}, data)
            await asyncio.sleep(0.02)


def identities(rows: pl.DataFrame) -> Counter[Any]:
    return Counter(rows.select("sensor", "boot", "sequence").iter_rows())


def sent(messages: int = MESSAGES) -> Counter[Any]:
    return Counter((SENSORS[m % len(ENTITIES)], 1, n) for m in range(messages) for n in range(m * ROWS, (m + 1) * ROWS))


async def logged(settings: Settings) -> Counter[Any]:
    """Every event of the logs that are archived."""
    found: Counter[Any] = Counter()
    async with connected(settings, "host") as connection:
        for context in SHARDS.keys() - PERSONAL:
            for shard in range(SHARDS[context]):
                async for batch in read_batches(connection.store(context, shard)):
                    found.update((context, shard, one.sequence, one.type) for one in batch.events)
    return found


def archived(settings: Settings, table: str) -> pl.DataFrame:
    archive = Archive(url_of(settings))
    return archive.scan(table, archive.version(table)).collect()


@asynccontextmanager
async def writing(settings: Settings):
    archivist = Archivist(settings, Numbers())
    await archivist.start()
    try:
        async with asyncio.timeout(30):
            while not archivist.ready:
                await asyncio.sleep(0.02)
        yield archivist
    finally:
        await archivist.stop()


async def until_hot(archivist: Archivist, wanted: int) -> pl.DataFrame:
    async with asyncio.timeout(30):
        while True:
            hot, archive = archivist.hot("readings"), Archive(url_of(archivist._settings))
            cold = await asyncio.to_thread(archive.scan("readings", hot.version).collect)
            whole = pl.concat([cold, pl.DataFrame(hot.rows)])
            if len(whole) >= wanted:
                return whole
            await asyncio.sleep(0.05)


async def test_each_reading_and_event_is_there_once_though_the_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        load = asyncio.create_task(flow(settings))
        environment = {**os.environ, "BOMNAE_DATA": str(settings.data)}
        environment |= {f"BOMNAE_{context.upper()}_SHARDS": str(count) for context, count in SHARDS.items()}
        kills = 0
        while not load.done() or kills < 4:
            writer = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.archive", env=environment, stdout=asyncio.subprocess.PIPE
            )
            assert writer.stdout is not None
            if not load.done():
                assert await asyncio.wait_for(writer.stdout.readline(), 30) == b"written\n"
                await asyncio.sleep(0.01 * kills)
            else:
                await asyncio.sleep(1.2)
            writer.kill()
            await writer.wait()
            kills += 1
        await load
        async with writing(settings) as archivist:
            await until_hot(archivist, MESSAGES * ROWS)
        assert identities(archived(settings, "readings")) == sent()
        events = archived(settings, "events")
        told = Counter(events.select("context", "shard", "sequence", "type").iter_rows())
        assert told == await logged(settings)
        assert "city.facility.alarm-raised.v1" in set(events["type"])


async def test_of_two_writers_neither_adds_what_the_other_has(tmp_path: Path) -> None:
    often = settings_for(tmp_path).model_copy(update={"archive_every_s": 0.1})
    async with running(often) as settings:
        await prepare(settings)
        async with writing(settings), writing(settings):
            await flow(settings)
            async with asyncio.timeout(60):
                while len(await asyncio.to_thread(archived, settings, "readings")) < MESSAGES * ROWS:
                    await asyncio.sleep(0.2)
        assert identities(archived(settings, "readings")) == sent()


async def test_what_is_read_and_not_yet_written_is_told_beside_the_version_that_it_continues(tmp_path: Path) -> None:
    often = settings_for(tmp_path).model_copy(update={"archive_every_s": 0.3})
    async with running(often) as settings:
        await prepare(settings)
        async with writing(settings) as archivist:
            load = asyncio.create_task(flow(settings))
            wanted = 0
            while not load.done():
                rows = await until_hot(archivist, wanted)
                assert max(identities(rows).values(), default=1) == 1, "each row once, in the table or in the tail"
                assert len(rows) >= wanted, "nothing that was there is gone"
                wanted = len(rows)
            await load
            assert identities(await until_hot(archivist, MESSAGES * ROWS)) == sent()


async def test_nothing_of_persons_is_archived(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        async with writing(settings) as archivist:
            rows = archivist.hot("events").rows
            assert set(rows["context"].to_pylist()) == {"facility", "road"}
            assert not {
                log for tail in archivist._tails.values() for log in tail.held if "SIGHTING" in log or "PERSON" in log
            }
