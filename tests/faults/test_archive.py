"""The archive under kills: every reading and event is in it once, whenever its writer died, and however many wrote."""

import asyncio
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from actors.archiving.archivist import Archivist, url_of
from actors.archiving.rollups import merged, rolled
from actors.host import wall_clock
from actors.meters import Numbers
from actors.replay import apply
from schemas.archive import EVENTS, PERSONAL, ROLLUPS
from schemas.facility import RegisterSensor
from schemas.settings import Settings
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.instance import connected
from streams import codec
from streams.archive import Archive, Reached
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
    archivist = Archivist(settings, Numbers(), wall_clock)
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
            hot, archive = await archivist.hot("readings"), Archive(url_of(archivist._settings))
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
        for table, every in ROLLUPS.items():
            found, wanted = archived(settings, table), rolled(archived(settings, "readings").to_arrow(), every)
            assert merged(found.lazy()).equals(wanted), f"{table} are what all readings rolled up at once are"
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


@pytest.mark.parametrize("place", [Reached(10**6, 1), Reached(2, 1)], ids=["beyond its end", "another commit there"])
async def test_an_archive_of_a_later_log_is_not_written_and_its_operator_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Reached
) -> None:
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        log = "LOG_ROAD_1"  # of jungang-ro
        Archive(url_of(settings)).append("events", EVENTS.empty_table(), {log: Reached()}, {log: place})
        async with writing(settings) as archivist:
            rows = (await archivist.hot("events")).rows.to_pylist()
        assert f"{log} is not archived any further" in caplog.text
        assert {(row["context"], row["shard"]) for row in rows} >= {("facility", 0), ("facility", 1)}
        assert ("road", 1) not in {(row["context"], row["shard"]) for row in rows}
        assert Archive(url_of(settings)).held("events", [log])[1] == {log: place}


async def test_a_shard_that_cannot_be_folded_is_left_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: Any, state: Any, batch: Any, messages: Any, log: str) -> None:
        if log == "LOG_FACILITY_0" and batch.events:
            raise ValueError("this batch is beyond it")
        apply(context, state, batch, messages, log)

    monkeypatch.setattr("actors.archiving.shard.apply", broken)
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        async with writing(settings) as archivist:
            rows = (await archivist.hot("events")).rows.to_pylist()
        assert {(row["context"], row["shard"]) for row in rows} == {("facility", 1), ("road", 1)}
        assert "of LOG_FACILITY_0 cannot be folded again: this batch is beyond it" in caplog.text


async def test_a_new_writer_goes_on_where_the_last_one_was_also_where_nothing_was_to_be_written(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        async with writing(settings):
            pass
        archive = Archive(url_of(settings))
        async with connected(settings, "host") as connection:
            for context in SHARDS.keys() - PERSONAL:
                for shard in range(SHARDS[context]):
                    store = connection.store(context, shard)
                    newest = [batch async for batch in read_batches(store)][-1]
                    _, held = archive.held("events", [store.name])
                    assert held[store.name] == Reached(newest.sequence, newest.stored_at)


async def test_nothing_of_persons_is_archived(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as settings:
        await prepare(settings)
        async with writing(settings) as archivist:
            rows = (await archivist.hot("events")).rows
            assert set(rows["context"].to_pylist()) == {"facility", "road"}
            assert not {
                log for tail in archivist._tails.values() for log in tail.held if "SIGHTING" in log or "PERSON" in log
            }
