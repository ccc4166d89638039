"""Whatever happens to a shard, in whatever order: its answers equal a brute force over what the log says."""

import asyncio
import hashlib
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sighting.blocks import name_of
from schemas.base import from_micros
from schemas.road import Window
from serve.search import duties as duties_module
from serve.search import holdings as holdings_module
from serve.search import index as index_module
from serve.search import plan as plan_module
from serve.search.duties import Duties
from serve.search.shard import SearchShard
from tests.unit.search.test_duties import Cut, World
from tests.unit.search.town import DAY, HOUR, MINUTE, NOW, erasure, found, ids, vectors

CAMERAS = ("cam-0", "cam-1")
SECOND = 1_000_000
WEIGHTS = {
    "see": 8,
    "erase": 4,
    "duties": 3,
    "lose": 2,
    "back": 1,
    "restart": 2,
    "rebuild": 1,
    "seal": 1,
    "tend": 1,
    "cut off": 2,
    "later": 1,
}


def story(seed: int) -> list[Any]:
    """Two dozen acts. Drawn evenly: lists that Hypothesis draws itself are short and repeat themselves, and most faults
    need several acts to meet.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    acts: list[Any] = []
    for what in chance.choices([*WEIGHTS], [*WEIGHTS.values()], k=24):
        match what:
            case "see":
                blocks = [(chance.choice(CAMERAS), chance.randint(1, 12), chance.randint(0, 2)) for _ in range(2)]
                acts.append(("see", blocks))
            case "erase":
                # A block has a row each second from a full minute on: most windows take a part of some block.
                acts.append(("erase", chance.choice(CAMERAS), chance.randint(0, 130), chance.randint(1, 70)))
            case "cut off" | "lose":
                acts.append((what, chance.randint(0, 4)))
            case "later":
                acts.append((what, chance.randint(1, 20)))
            case _:
                acts.append((what,))
    return acts


class Story:
    """Plays acts on a world and remembers what must be found."""

    def __init__(self, folder: Path) -> None:
        self.world, self.folder = World(folder), folder
        self.erased: set[tuple[str, str]] = set()
        self.lost: dict[str, bytes] = {}
        self.asked: dict[str, tuple[str, int, int]] = {}
        self.restarts = 0

    async def play(self, acts: list[Any]) -> None:  # noqa: C901, PLR0912 - a case for each act
        town = self.world.town
        for camera in CAMERAS:
            await town.camera(camera, retention_days=1)
        shard, duties = await self.world.duties()
        for act in acts:
            match act:
                case "see", blocks:
                    before = set(town.rows)
                    for camera, count, minute in blocks:
                        await town.see(camera, vectors(count, len(town.rows)), town.now - HOUR + minute * MINUTE)
                    self.erased |= {one for one in set(town.rows) - before if self.under_erasure(one)}
                case "erase", camera, second, length:
                    start = town.now - HOUR + second * SECOND
                    name = f"e-{len(self.asked) + 1}"
                    await self.world.town.say(erasure(camera, start, start + length * SECOND, name))
                    self.asked[name] = camera, start, start + length * SECOND
                    self.erased |= {one for one in town.rows if self.under_erasure(one)}
                case ("restart" | "rebuild",):
                    shard, duties = await self.restarted(shard, whole=act == ("rebuild",))
                case ("seal",):
                    for index in shard.holdings.pools.indexes.values():
                        index.seal()
                case ("tend",):
                    await shard.tend()
                case ("duties",):
                    await self.world.settle(shard, duties)
                case "cut off", changes:
                    shard.blobs = Cut(town.blobs.blobs, changes)
                    await duties.work()
                    shard, duties = await self.restarted(shard, whole=False)
                case "lose", number:
                    names = sorted(self.known() & town.blobs.blobs.keys())
                    if number < len(names):
                        self.lost[names[number]] = town.blobs.blobs.pop(names[number])
                case ("back",):
                    await self.back(shard)
                case "later", hours:
                    town.now += hours * HOUR
                    await self.tick()
            await town.catch_up(shard)
            if not self.lost:
                await shard.tend()
                await self.compare(shard)
        await self.back(shard)
        await self.world.settle(shard, duties)
        await self.compare(shard)
        self.check_objects(shard)
        shard.close()

    async def restarted(self, shard: SearchShard, whole: bool) -> tuple[SearchShard, Duties]:
        shard.close()
        if whole:
            self.restarts += 1
            self.world.town.folder = self.folder / f"anew-{self.restarts}"
        return await self.world.duties()

    def under_erasure(self, row: tuple[str, str]) -> bool:
        """Whether an erasure covers it that is not completed."""
        time, done = self.world.town.rows[row][0], {one.erasure for one in self.world.receipts() if one.last}
        pending = [one for name, one in self.asked.items() if name not in done]
        return any(row[0] == camera and start <= time < end for camera, start, end in pending)

    async def tick(self) -> None:
        """What time alone brings about, decided by the owners."""
        office, town = self.world.office, self.world.town
        for partition in range(town.partitions):
            state = office._state("sighting", partition)
            for event in office.contexts["sighting"].tick(state, town.now):
                await office.town.say(event)

    async def back(self, shard: SearchShard) -> None:
        """Lost objects come back, but for those that have expired meanwhile."""
        self.world.town.blobs.blobs |= {name: data for name, data in self.lost.items() if name in self.known()}
        self.lost = {}
        await self.world.town.catch_up(shard)
        await shard.tend()

    def known(self) -> set[str]:
        """The objects that there must be, after the log."""
        states = [state for (context, _), state in self.world.office.states.items() if context == "sighting"]
        return {name_of(block) for state in states for camera in state.cameras.values() for block in camera.blocks}

    def left(self) -> dict[tuple[str, str], tuple[int, Any]]:
        """What must be found."""
        town = self.world.town
        return {
            one: (time, row)
            for one, (time, row) in town.rows.items()
            if one not in self.erased and time >= town.now - DAY
        }

    async def compare(self, shard: SearchShard) -> None:
        town = self.world.town
        if shard.holdings.missing:
            # An erasure was cut off behind a deletion: what replaces the block is there, and the log says it later.
            rested = (await found(shard, vectors(1)[0])).rested
            assert rested.permitted > rested.scanned
            return
        town.rows, every = self.left(), town.rows
        query = vectors(1, 4242)[0]
        middle = town.now - HOUR + MINUTE
        for cameras, start, end in (
            (CAMERAS, 0, 2**60),
            (CAMERAS[:1], 0, 2**60),
            (CAMERAS, middle, middle + 70 * SECOND),
        ):
            window = Window(start=from_micros(max(start, NOW - 40 * DAY)), end=from_micros(min(end, NOW + 90 * DAY)))
            reply = await found(shard, query, 20, window=window, cameras=frozenset(cameras))
            assert ids(reply) == town.best(query, 20, start, end, cameras)
            permitted = len(town.best(query, 10_000, start, end, cameras))
            assert (reply.rested.permitted, reply.rested.scanned) == (permitted, permitted)
        town.rows = every

    def check_objects(self, shard: SearchShard) -> None:
        """With nothing left to do: no block holds what is erased or a day too old, none is missing, a row lies once."""
        town = self.world.town
        assert not shard.catalogue.tasks()
        assert not shard.holdings.missing
        done = [one.erasure for one in self.world.receipts() if one.last]
        assert sorted(done) == sorted(self.asked)
        stored = {name: data for name, data in town.blobs.blobs.items() if name.startswith("blocks/")}
        assert set(stored) == {name_of(one.block) for one in shard.catalogue.blocks()}
        assert all(hashlib.sha256(data).hexdigest() in name for name, data in stored.items())
        tables = [pa.ipc.open_file(pa.BufferReader(data)).read_all() for data in stored.values()]
        kept = [
            (camera, name)
            for table in tables
            for camera, name in zip(table["camera"].to_pylist(), table["sighting_id"].to_pylist(), strict=True)
        ]
        assert len(kept) == len(set(kept))
        assert set(self.left()) <= set(kept)
        assert not self.erased & set(kept)
        assert all(town.rows[one][0] >= town.now - 2 * DAY - MINUTE for one in kept)
        files = [path.read_bytes() for path in town.folder.rglob("*") if path.is_file()]
        for one in self.erased:
            half = np.float16(town.rows[one][1]).tobytes()
            assert not any(half in data for data in files)
            assert not any(town.rows[one][1].tobytes() in data for data in town.blobs.blobs.values())


@pytest.fixture(autouse=True, scope="module")
def small_sizes() -> Any:
    """So that segments become full, bits are read and blocks are sealed with a few dozen rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(index_module, "SEALED_ROWS", 25)
        patched.setattr(plan_module, "GATHER_ROWS", 3)
        patched.setattr(plan_module, "BITS_ROWS", 6)
        patched.setattr(holdings_module, "MOST_OPEN", 4)
        # What is given up has a test of its own; here whatever is lost comes back.
        patched.setattr(duties_module, "LOST_AFTER", 2**60)
        yield


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_answers_equal_a_brute_force_after_any_mix_of_events_losses_and_restarts(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Story(Path(folder)).play(story(seed)))
