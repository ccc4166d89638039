"""The router: merges what shards answer in time, labels what did not, batches what waits, and changes layouts."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.base import from_micros
from schemas.errors import GoneError, InvalidError, UnavailableError
from schemas.models import Calibration, ModelCard
from schemas.person import Candidate
from schemas.road import Window
from serve.search import copies, layouts
from serve.search.asking import Behind, Reply
from serve.search.covering import BEHIND_S
from serve.search.place import Place
from serve.search.protocol import Filters, Query, Vector
from serve.search.router import Router
from serve.search.shard import SearchShard
from streams.subjects import partition
from tests.unit.search.town import ALWAYS, HOUR, MODEL, NOW, Town, vectors

ALL = Filters(ALWAYS)


class Shards:
    """Reaches shards by name; some are away, some hang. `calls` are the sizes of the searches sent."""

    def __init__(self) -> None:
        self.shards: dict[str, SearchShard] = {}
        self.away: set[str] = set()
        self.hanging: set[str] = set()
        self.calls: list[tuple[str, int]] = []
        self.slow_s = 0.0
        self.behind: dict[str, Behind] = {}

    async def call(self, name: str, method: str, *arguments: Any) -> Any:
        if name in self.away or name not in self.shards:
            raise UnavailableError(f"the actor {name} is not running")
        if name in self.hanging:
            await asyncio.sleep(60)
        shard = self.shards[name]
        if method == "ready":
            return shard.ready
        if method == "search":
            self.calls.append((name, len(arguments[0])))
            await asyncio.sleep(self.slow_s)
        told = await getattr(shard, method)(*arguments)
        if method == "search" and name in self.behind:
            return [replace(one, lag=self.behind[name]) if isinstance(one, Reply) else one for one in told]
        return told

    async def layouts(self) -> list[int]:
        found = [Place.of(name) for name in self.shards if name not in self.away]
        return sorted({one.shards for one in found if one is not None})


class World:
    def __init__(self, folder: Path) -> None:
        self.town, self.shards = Town(folder, partitions=4), Shards()

    async def opened(self, shards: int, copies: int = 1) -> None:
        for number in range(shards):
            for copy in range(copies):
                place = Place(shards, number, copy)
                self.shards.shards[place.name] = await self.town.opened(place)

    def router(self, shards: int, copies: int = 1, **options: Any) -> Router:
        cameras = [f"cam-{number}" for number in range(8)]
        known = {"cameras": lambda: cameras, "clock": lambda: NOW}
        return Router(self.shards.call, shards, copies, 4, **known | options)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for number in range(8):
        await world.town.camera(f"cam-{number}")
        await world.town.see(f"cam-{number}", vectors(20, number), NOW - HOUR)
    return world


async def names(router: Router, query: Vector, limit: int = 10, filters: Filters = ALL) -> list[str]:
    return [one.sighting for one in (await router.search([Query(MODEL, query)], filters, {}, limit, 5)).candidates]


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
async def test_the_answer_does_not_depend_on_the_number_of_shards(world: World, shards: int) -> None:
    await world.opened(shards)
    query = vectors(1, 99)[0]
    found = await world.router(shards).search([Query(MODEL, query)], ALL, {}, 10, 5)
    assert [one.sighting for one in found.candidates] == world.town.best(query, 10)
    said = found.coverage
    assert (said.shards, said.shards_answered, said.complete) == (shards, shards, True)
    assert (said.rows_permitted, said.rows_scanned, said.cameras) == (160, 160, 8)


async def test_only_the_shards_of_the_cameras_asked_for_are_asked(world: World) -> None:
    await world.opened(4)
    router = world.router(4)
    found = await router.search([Query(MODEL, vectors(1)[0])], Filters(ALWAYS, frozenset({"cam-1"})), {}, 5, 5)
    assert (found.coverage.shards, found.coverage.cameras) == (1, 1)
    assert {one.camera for one in found.candidates} == {"cam-1"}
    assert len(world.shards.calls) == 1


@pytest.mark.parametrize("how", ["away", "hanging"])
async def test_a_dead_shard_makes_a_partial_answer_that_says_so(world: World, how: str) -> None:
    await world.opened(2)
    getattr(world.shards, how).add("search-2-1-0")
    found = await world.router(2).search([Query(MODEL, vectors(1)[0])], ALL, {}, 10, 0.2)
    assert found.candidates
    assert (found.coverage.shards, found.coverage.shards_answered, found.coverage.complete) == (2, 1, False)


async def test_the_cameras_of_a_dead_shard_count_and_their_whole_window_is_missing(world: World) -> None:
    await world.opened(2)
    world.shards.away.add("search-2-1-0")
    gone = [camera for camera in (f"cam-{number}" for number in range(8)) if partition(camera, 4) % 2 == 1]
    assert 0 < len(gone) < 8
    past = Window(start=from_micros(NOW - 5 * HOUR), end=from_micros(NOW + 3 * HOUR))
    kept = min({f"cam-{number}" for number in range(8)} - set(gone))
    for cameras, lost in ((None, len(gone)), (frozenset({kept, *gone[:2]}), len(gone[:2]))):
        asked = Filters(past, cameras)
        said = (await world.router(2).search([Query(MODEL, vectors(1)[0])], asked, {}, 10, 5)).coverage
        assert said.cameras == (8 if cameras is None else len(cameras))
        assert said.hours_missing == 5 * lost


async def test_shards_that_have_not_read_everything_make_the_answer_say_since_when_and_why(world: World) -> None:
    await world.opened(4)
    router = world.router(4)
    query = [Query(MODEL, vectors(1)[0])]
    world.shards.behind["search-4-1-0"] = Behind(BEHIND_S, 1)
    assert (await router.search(query, ALL, {}, 10, 5)).lag is None
    world.shards.behind["search-4-2-0"] = Behind(61.5, 40, "the objects are away" + 300 * "!")
    world.shards.behind["search-4-3-0"] = Behind(4.0, 2)
    found = await router.search(query, ALL, {}, 10, 5)
    assert found.lag is not None
    assert (found.lag.shards, found.lag.seconds, found.lag.records) == (2, 61.5, 42)
    assert found.lag.why.startswith("the objects are away!")
    assert (found.coverage.complete, found.complete) == (True, False)


async def test_no_shard_at_all_is_an_error(world: World) -> None:
    await world.opened(2)
    world.shards.away = set(world.shards.shards)
    with pytest.raises(UnavailableError, match="no shard"):
        await world.router(2).search([Query(MODEL, vectors(1)[0])], ALL, {}, 10, 1)


async def test_another_copy_answers_for_one_that_is_gone_and_it_comes_back(world: World) -> None:
    await world.opened(1, copies=2)
    world.shards.away.add("search-1-0-0")
    router = world.router(1, copies=2)
    for _ in range(4):
        assert (await router.search([Query(MODEL, vectors(1)[0])], ALL, {}, 3, 5)).coverage.complete
    world.shards.away = {"search-1-0-1"}
    assert (await router.search([Query(MODEL, vectors(1)[0])], ALL, {}, 3, 5)).coverage.complete


async def test_what_waits_travels_eight_in_a_call_and_every_answer_is_its_own(world: World) -> None:
    await world.opened(1)
    world.shards.slow_s = 0.02
    router = world.router(1)
    queries = vectors(16, 7)
    first = asyncio.create_task(names(router, queries[0], 5))
    await asyncio.sleep(0.005)
    found = [*await asyncio.gather(*(names(router, query, 5) for query in queries[1:])), await first]
    assert found == [world.town.best(query, 5) for query in (*queries[1:], queries[0])]
    assert world.shards.calls == [("search-1-0-0", size) for size in (1, 8, 7)]


async def test_an_impossible_question_fails_alone_among_those_that_wait(world: World) -> None:
    await world.opened(1)
    world.shards.slow_s = 0.02
    router = world.router(1)
    told = await asyncio.gather(
        *(names(router, one) for one in (*vectors(3, 7), vectors(1, 7, 8)[0], np.zeros(16, np.float32))),
        return_exceptions=True,
    )
    assert [type(one) for one in told] == [list, list, list, InvalidError, InvalidError]


async def test_a_model_that_nobody_knows_is_refused(world: World) -> None:
    await world.opened(2)
    with pytest.raises(InvalidError, match="m-9"):
        await world.router(2).search([Query("m-9", vectors(1)[0])], ALL, {}, 10, 5)


@pytest.mark.parametrize("asked", [Query("m-9", vectors(1)[0]), Query(MODEL, vectors(1, 7, 8)[0])])
async def test_what_a_search_refuses_a_watch_is_refused_too(world: World, asked: Query) -> None:
    await world.opened(2)
    with pytest.raises(InvalidError) as refused:
        await world.router(2).search([asked], ALL, {}, 10, 5)
    with pytest.raises(InvalidError) as told:
        await world.router(2).check([asked], 5)
    assert str(told.value) == str(refused.value)
    await world.router(2).check([Query(MODEL, vectors(1)[0])], 5)


async def test_a_vector_that_does_not_fit_its_card_is_refused_though_nothing_of_the_model_has_come(
    world: World,
) -> None:
    await world.opened(1)
    with pytest.raises(InvalidError, match="16 dimensions, not 8"):
        await world.router(1, cards=[card("m-9", 5)]).check([Query("m-9", vectors(1, 7, 8)[0])], 5)


def card(model: str, a: float) -> ModelCard:
    curve = Calibration(
        a=a,
        b=-a / 2,
        prior=0.01,
        threshold=0.5,
        false_positive_rate=0.001,
        same_pairs=1,
        different_pairs=1,
        persons=1,
        data="x",
    )
    facts: dict[str, Any] = {
        "id": model,
        "kind": "body",
        "name": "test",
        "dimensions": 16,
        "version": "1",
        "digest": "",
        "licence": "none",
        "source": "here",
        "accuracy": (),
        "weak": True,
        "bias_en": "x",
        "bias_ko": "x",
        "calibration": curve,
    }
    return ModelCard(**facts)


async def test_several_models_are_ordered_by_what_their_scores_mean(world: World) -> None:
    person = vectors(1, 5)[0]
    await world.town.see("cam-0", person[None], NOW - 2 * HOUR, model="m-2")  # type: ignore[arg-type]
    await world.opened(2)
    router = world.router(2, cards=[card(MODEL, 5), card("m-2", 20)])
    found = await router.search([Query(MODEL, vectors(20, 0)[3]), Query("m-2", person)], ALL, {}, 5, 5)
    assert [one.model for one in found.candidates[:2]] == ["m-2", MODEL]
    odds = [one.probability for one in found.candidates]
    assert odds == sorted(odds, key=lambda one: -(one or 0))
    assert found.coverage.cameras == 8


@pytest.mark.parametrize("limit", [2, 20, 60, 65])
async def test_an_exact_face_is_at_the_front_though_its_model_has_no_calibration(world: World, limit: int) -> None:
    faces = vectors(5, 2)
    await world.town.see("cam-0", faces, NOW - 2 * HOUR, model="face-1")  # type: ignore[arg-type]
    await world.opened(2)
    router = world.router(2, cards=[card(MODEL, 5)])
    found = await router.search([Query(MODEL, vectors(1, 77)[0]), Query("face-1", faces[2])], ALL, {}, limit, 5)
    shown = [(one.model, one.sighting) for one in found.candidates]
    assert len(shown) == limit
    assert shown[1] == ("face-1", "cam-0:9-2")
    assert [model for model, _ in shown].count("face-1") == min(5, limit // 2)
    bodies = [one.probability for one in found.candidates if one.model == MODEL]
    assert bodies == sorted(bodies, key=lambda one: -(one or 0))


async def test_more_like_this_and_pictures_come_from_the_shard_of_the_camera(world: World) -> None:
    await world.town.see("cam-3", vectors(2, 55), NOW - 2 * HOUR, picture=[b"\xff\xd8", None])
    await world.opened(3)
    router = world.router(3)
    facts: dict[str, Any] = {"camera": "cam-3", "time": from_micros(NOW - 2 * HOUR), "model": MODEL, "score": 1.0}
    seen = Candidate(sighting="cam-3:9-0", probability=None, **facts)
    query = await router.embedding_of(seen)
    assert (query.model, np.allclose(query.vector, vectors(2, 55)[0])) == (MODEL, True)
    assert await router.picture(seen) == b"\xff\xd8"
    gone = Candidate(sighting="cam-3:9-7", probability=None, **facts)
    assert await router.picture(gone) is None
    with pytest.raises(GoneError):
        await router.embedding_of(gone)
    world.shards.away = set(world.shards.shards)
    with pytest.raises(UnavailableError):
        await router.picture(seen)


async def test_a_new_layout_is_used_once_all_of_it_has_read_everything(world: World) -> None:
    await world.opened(1)
    await world.opened(2)
    world.shards.shards["search-2-1-0"].ready = False
    router = world.router(2, layouts=world.shards.layouts)
    query = vectors(1, 99)[0]
    assert not await router.layouts.choose()
    assert router.layouts.current == 1
    assert await names(router, query) == world.town.best(query, 10)
    world.shards.shards["search-2-1-0"].ready = True
    assert await router.layouts.choose()
    assert router.layouts.current == 2
    assert await names(router, query) == world.town.best(query, 10)


@pytest.mark.parametrize("how", ["away", "hanging"])
async def test_a_search_goes_over_to_the_new_layout_as_soon_as_the_old_one_is_gone(world: World, how: str) -> None:
    await world.opened(1)
    await world.opened(2)
    late = world.shards.shards["search-2-1-0"]
    late.ready = False
    router = world.router(2, layouts=world.shards.layouts)
    await router.layouts.choose()
    query = vectors(1, 99)[0]
    late.ready = True
    getattr(world.shards, how).add("search-1-0-0")
    if how == "hanging":
        with pytest.raises(UnavailableError):
            await router.search([Query(MODEL, query)], ALL, {}, 10, 0.2)
        await asyncio.sleep(0.05)
    found = await asyncio.gather(*(names(router, query) for _ in range(3)))
    assert found == [world.town.best(query, 10)] * 3
    assert router.layouts.current == 2


async def test_pictures_are_found_when_the_old_layout_is_gone(world: World) -> None:
    await world.town.see("cam-3", vectors(1, 55), NOW - 2 * HOUR, picture=[b"\xff\xd8"])
    await world.opened(1)
    await world.opened(2)
    world.shards.shards["search-2-0-0"].ready = False
    router = world.router(2, layouts=world.shards.layouts)
    await router.layouts.choose()
    world.shards.shards["search-2-0-0"].ready = True
    world.shards.away.add("search-1-0-0")
    facts: dict[str, Any] = {"camera": "cam-3", "time": from_micros(NOW - 2 * HOUR), "model": MODEL, "score": 1.0}
    assert await router.picture(Candidate(sighting="cam-3:9-0", probability=None, **facts)) == b"\xff\xd8"


async def test_shards_are_added_to_a_city_that_is_searched_without_one_search_that_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "LOOK_S", 0.02)
    await world.opened(1)
    router = world.router(2, layouts=world.shards.layouts)
    await router.start()
    query, ended, answered = vectors(1, 99)[0], asyncio.Event(), list[tuple[int, bool, list[str]]]()

    async def search() -> None:
        while not ended.is_set():
            found = await router.search([Query(MODEL, query)], ALL, {}, 10, 5)
            shown = [one.sighting for one in found.candidates]
            answered.append((found.coverage.shards, found.coverage.complete, shown))

    await router.layouts.choose()
    searching = [asyncio.create_task(search()) for _ in range(4)]
    await world.opened(2)
    # The old one dies at once, before anybody has looked.
    world.shards.away.add("search-1-0-0")
    await asyncio.sleep(0.2)
    ended.set()
    await asyncio.gather(*searching)
    await router.stop()
    assert {shards for shards, _, _ in answered} == {1, 2}
    assert all(complete and shown == world.town.best(query, 10) for _, complete, shown in answered)


async def test_a_copy_that_failed_shares_the_questions_again_once_it_is_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "AGAIN_S", 0.02)
    await world.opened(1, copies=2)
    router = world.router(1, copies=2)
    world.shards.away.add("search-1-0-0")
    for _ in range(3):
        await names(router, vectors(1)[0])
    assert {name for name, _ in world.shards.calls} == {"search-1-0-1"}
    world.shards.away.clear()
    await names(router, vectors(1)[0])
    await asyncio.sleep(0.1)
    world.shards.calls.clear()
    for _ in range(4):
        await names(router, vectors(1)[0])
    assert {name for name, _ in world.shards.calls} == {"search-1-0-0", "search-1-0-1"}
    await router.stop()


async def test_a_copy_that_hangs_leaves_time_for_the_other(world: World) -> None:
    await world.opened(1, copies=2)
    router = world.router(1, copies=2)
    world.shards.hanging.add("search-1-0-0")
    loop = asyncio.get_running_loop()
    for _ in range(3):
        began = loop.time()
        found = await router.search([Query(MODEL, vectors(1)[0])], ALL, {}, 5, 1)
        assert found.coverage.complete
        assert loop.time() - began < 0.9
    await router.stop()


async def test_a_window_in_the_past_is_the_same_for_every_shard(world: World) -> None:
    await world.opened(2)
    past = Filters(Window(start=from_micros(NOW - 9 * HOUR), end=from_micros(NOW - 8 * HOUR)))
    found = await world.router(2).search([Query(MODEL, vectors(1)[0])], past, {}, 10, 5)
    assert found.candidates == ()
    assert (found.coverage.rows_permitted, found.coverage.complete) == (0, True)
