"""Whatever happens to a shard, in whatever order: its answers equal a brute force over what the log says."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from serve.search.shard import SearchShard
from tests.unit.search.test_duties import World
from tests.unit.search.town import HOUR, MINUTE, NOW, erasure, found, ids, vectors

CAMERAS = ("cam-0", "cam-1", "cam-2")
CAMERA = st.sampled_from(CAMERAS)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), CAMERA, st.integers(1, 12), st.integers(0, 50)),
        st.tuples(st.just("erase"), CAMERA, st.integers(0, 50), st.integers(1, 20)),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("seal")),
        st.tuples(st.just("duties")),
        st.tuples(st.just("lose"), st.integers(0, 5)),
    ),
    min_size=1,
    max_size=14,
)


class Story:
    """Plays acts on a world and remembers what must be found."""

    def __init__(self, folder: Path) -> None:
        self.world, self.folder = World(folder), folder
        self.left: set[tuple[str, str]] = set()
        self.lost: dict[str, bytes] = {}
        self.erasures = 0
        self.pending: list[tuple[str, int, int]] = []

    async def play(self, acts: list[Any]) -> None:  # noqa: C901 - a case for each act
        town = self.world.town
        for camera in CAMERAS:
            await town.camera(camera)
        shard, duties = await self.world.duties()
        for act in acts:
            match act:
                case "see", camera, count, minute:
                    before = set(town.rows)
                    await town.see(camera, vectors(count, len(town.rows)), NOW - HOUR + minute * MINUTE)
                    self.left |= {one for one in set(town.rows) - before if not self.hidden(one)}
                case "erase", camera, minute, length:
                    start = NOW - HOUR + minute * MINUTE
                    end = start + length * MINUTE
                    self.erasures += 1
                    await town.say(erasure(camera, start, end, f"e-{self.erasures}"))
                    self.pending.append((camera, start, end))
                    self.left = {one for one in self.left if not self.hidden(one)}
                case "restart", whole:
                    shard.close()
                    if whole:
                        self.world.town.folder = self.folder / f"anew-{self.erasures}-{len(town.rows)}-{len(acts)}"
                    shard, duties = await self.world.duties()
                case ("seal",):
                    for index in shard.holdings.pools.indexes.values():
                        index.seal()
                case ("duties",):
                    await self.back(shard)
                    await self.world.settle(shard, duties)
                    self.pending = []
                case "lose", number:
                    names = sorted(name for name in town.blobs.blobs if name.startswith("blocks/"))
                    if number < len(names):
                        self.lost[names[number]] = town.blobs.blobs.pop(names[number])
            await town.catch_up(shard)
        await self.back(shard)
        await shard.tend()
        await self.compare(shard)
        await self.world.settle(shard, duties)
        await self.compare(shard)
        shard.close()

    def hidden(self, row: tuple[str, str]) -> bool:
        """Whether a pending erasure covers it."""
        time = self.world.town.rows[row][0]
        return any(row[0] == camera and start <= time < end for camera, start, end in self.pending)

    async def back(self, shard: SearchShard) -> None:
        """Lost objects come back."""
        self.world.town.blobs.blobs |= self.lost
        self.lost = {}
        await shard.tend()

    async def compare(self, shard: SearchShard) -> None:
        town = self.world.town
        town.rows, every = {one: town.rows[one] for one in self.left}, town.rows
        query = vectors(1, 4242)[0]
        reply = await found(shard, query, 20)
        assert ids(reply) == town.best(query, 20)
        assert (reply.rested.permitted, reply.rested.scanned) == (len(self.left), len(self.left))
        town.rows = every


@given(ACTS)
@settings(max_examples=40, deadline=None)
def test_answers_equal_a_brute_force_after_any_mix_of_events_losses_and_restarts(acts: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Story(Path(folder)).play(acts))
