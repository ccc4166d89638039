"""Sightings from a camera's message to an answer, a hit and a receipt, over a real nats-server."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import nats
import numpy as np
import orjson
import pytest

from schemas.errors import UnavailableError
from schemas.person import AuthoriseCase, CaseFacts, OpenCase, StartWatch, WatchHit
from schemas.registry import read_event
from serve.search.place import Place
from serve.search.protocol import Query
from serve.search.queries import Sought, digest_of, name_of
from streams import credentials
from streams.connection import access_of
from tests.integration.searching import MODEL, now, people, searching


async def test_what_a_camera_saw_is_found_within_a_second_and_after_a_restart(tmp_path: Path) -> None:
    async with searching(tmp_path) as city:
        host = await city.host()
        for number in range(3):
            await city.camera(f"cam-{number}")
        rows = people(60, 1)
        for number in range(3):
            await city.see(f"cam-{number}", rows[number * 20 : number * 20 + 20])
        await city.until_scanned(rows[0], 60)
        person = people(1, 2)
        took = []
        for number in range(5):
            began = time.perf_counter()
            await city.see("cam-1", person, 1000 + number)
            while len([one for one in (await city.search(person[0])).candidates if one.score > 0.99]) <= number:
                await asyncio.sleep(0.002)
            took.append(time.perf_counter() - began)
        before = await city.search(person[0], 30)
        assert len(before.candidates) == 30
        # A bound that a nudge meets a hundred times over, and a look each second alone would not.
        assert sorted(took)[2] < 1
        await host.stop()
        again = await city.host()
        assert (await city.search(person[0], 30)).candidates == before.candidates
        assert again.shard is not None
        assert again.shard.position("sighting", 0) > 0


async def test_bytes_that_turned_over_on_disk_are_noticed_after_the_start_and_read_from_the_log_again(
    tmp_path: Path,
) -> None:
    async with searching(tmp_path) as city:
        host = await city.host()
        await city.camera("cam-0")
        rows = people(60, 1)
        await city.see("cam-0", rows)
        await city.until_scanned(rows[0], 60)
        before = (await city.search(rows[0], 30)).candidates
        assert host.shard is not None
        for index in host.shard.holdings.pools.indexes.values():
            index.seal()
        await host.stop()
        (codes,) = (tmp_path / "search").rglob("codes.faiss")
        data = bytearray(codes.read_bytes())
        data[-500:-100] = bytes(400)
        codes.write_bytes(data)
        again = await city.host()
        async with asyncio.timeout(20):
            while codes.exists() or not again.ready:
                await asyncio.sleep(0.02)
        assert (await city.search(rows[0], 30)).candidates == before
        assert again.shard is not None
        await again.shard.verify()
        await city.see("cam-0", people(1, 2), 1000)
        await city.until_scanned(rows[0], 61)


async def test_two_shards_hold_what_one_holds(tmp_path: Path) -> None:
    async with searching(tmp_path, search_shards=2) as city:
        for number in range(2):
            await city.host(Place(2, number))
        for number in range(4):
            await city.camera(f"cam-{number}")
            await city.see(f"cam-{number}", people(10, number))
        query = people(1, 9)[0]
        await city.until_scanned(query, 40)
        everything = np.concatenate([people(10, number) for number in range(4)]).astype(np.float16).astype(np.float64)
        scores = sorted((everything @ query.astype(np.float16).astype(np.float64)).tolist(), reverse=True)
        found = await city.search(query)
        assert np.allclose([one.score for one in found.candidates], scores[:10])
        assert (found.coverage.shards, found.coverage.cameras) == (2, 4)


async def test_a_watch_hits_within_a_second_and_its_case_says_so(tmp_path: Path) -> None:
    async with searching(tmp_path) as city:
        await city.host()
        await city.camera("cam-0")
        person = people(1, 2)
        data = Sought((Query(MODEL, person[0]),)).to_bytes()
        await city.connection.objects().blobs.put(name_of("c-1", digest_of(data)), data)
        who = {"case": "c-1", "by": "officer-1", "at": now()}
        facts = CaseFacts(
            kind="minor",
            authority="2026-1",
            legal_ground="act",
            reason="missing",
            officer="officer-1",
            expires_at=now() + timedelta(days=1),
        )
        watch = StartWatch(**who, watch="w-1", query=digest_of(data), models=(MODEL,), min_probability=0.9)
        told = await city.submit([OpenCase(**who, facts=facts), AuthoriseCase(**who, sole=True), watch])
        assert told == [None] * 3
        ledger = city.connection.store("person", 0)

        async def hits() -> list[WatchHit]:
            events = [read_event(one.type, one.data) async for one in ledger.read(0, "city.log.person.0.c-1.>")]
            return [one for one in events if isinstance(one, WatchHit)]

        # As an officer's app hears it: on the subject of the case, with the credentials of its officer.
        listed = await asyncio.to_thread(credentials.add, city.settings.data, "officer", "officer-1", ("c-1",))
        officer = await nats.connect(access_of(city.settings).urls[0], **listed.options())
        heard = await officer.subscribe("city.case.c-1.watch-hit")
        await officer.flush()
        took, told = [], []
        for number in range(3):
            began = time.perf_counter()
            await city.see("cam-0", np.vstack([people(5, 100 + number), person]), 10 * number)
            message = await heard.next_msg(20)
            took.append(time.perf_counter() - began)
            told.append(orjson.loads(message.data)["candidate"]["sighting"])
        await officer.close()
        assert told == [one.candidate.sighting for one in await hits()] == ["cam-0:5", "cam-0:15", "cam-0:25"]
        assert sorted(took)[1] < 1


async def test_a_shard_that_cannot_read_goes_on_answering_and_says_that_it_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with searching(tmp_path) as city:
        host = await city.host()
        await city.camera("cam-0")
        rows = people(20, 1)
        await city.see("cam-0", rows[:10])
        async with asyncio.timeout(20):
            while await city.scanned(rows[0]) < 10:
                await asyncio.sleep(0.01)
        assert (await city.search(rows[0])).complete
        assert host.shard is not None
        fetched = host.shard.blobs.get

        async def away(name: str) -> bytes | None:
            raise UnavailableError("the objects are away")

        monkeypatch.setattr(host.shard.blobs, "get", away)
        await city.see("cam-0", rows[10:], 100)
        async with asyncio.timeout(20):
            while (found := await city.search(rows[0])).complete:
                await asyncio.sleep(0.05)
        assert found.lag is not None
        assert (found.lag.shards, found.coverage.rows_scanned) == (1, 10)
        assert found.lag.records > 0
        assert "the objects are away" in found.lag.why
        monkeypatch.setattr(host.shard.blobs, "get", fetched)
        async with asyncio.timeout(20):
            while not (found := await city.search(rows[0])).complete:
                await asyncio.sleep(0.05)
        assert found.coverage.rows_scanned == 20
