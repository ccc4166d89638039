"""Standing queries at a search shard: matched as batches come, told as tasks, gone with their case."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from schemas.base import from_micros
from schemas.models import Calibration
from schemas.person import Candidate, CandidateConfirmed, CaseClosed, CaseErased, WatchEnded, WatchStarted
from serve.pictures import fitted
from serve.search.place import Place
from serve.search.protocol import Query
from serve.search.queries import Sought, digest_of, name_of
from serve.search.shard import SearchShard
from serve.search.soft import ASSUMED
from serve.search.watching import UNCALIBRATED, least_scores, most_scores
from tests.unit.search.town import HOUR, MODEL, NOW, Town, vectors


@pytest.fixture
async def town(tmp_path: Path) -> Town:
    town = Town(tmp_path)
    await town.camera("cam-0")
    await town.camera("cam-1")
    return town


def started(
    town: Town,
    vector: np.ndarray,
    watch: str = "w-1",
    at: int = NOW,
    soft: Mapping[str, str] | None = None,
    least: Mapping[str, float] | None = None,
    **limits: object,
) -> WatchStarted:
    data = Sought((Query(MODEL, vector),), soft or {}, least=least or {}).to_bytes()
    town.blobs.blobs[name_of("c-1", digest_of(data))] = data
    facts = {"models": (MODEL,), "min_probability": 0.9, "cameras": (), **limits}
    return WatchStarted(
        at=from_micros(at),
        case="c-1",
        by="officer-1",
        watch=watch,
        query=digest_of(data),
        **facts,  # type: ignore[arg-type]
    )


def hits(shard: SearchShard) -> list[str]:
    return [one.data["candidate"]["sighting"] for one in shard.catalogue.tasks("hits")]


async def test_a_new_sighting_of_who_is_watched_for_is_a_hit_once(town: Town) -> None:
    person, others = vectors(1, 5)[0], vectors(9, 6)
    shard = await town.opened()
    await town.say(started(town, person))
    await town.catch_up(shard)
    await town.see("cam-0", np.vstack([others, person]), NOW + 1)
    await town.catch_up(shard)
    assert hits(shard) == ["cam-0:1-9"]
    shard.catalogue.move("sighting", 0, 0)
    shard.catalogue.move("sighting", 1, 0)
    await town.catch_up(shard)
    assert hits(shard) == ["cam-0:1-9"]


async def test_what_came_before_the_watch_is_no_hit_after_a_rebuild_either(town: Town) -> None:
    person = vectors(1, 5)[0]
    await town.see("cam-0", person[None], NOW - HOUR)
    await town.say(started(town, person))
    assert hits(await town.opened()) == []


async def test_what_arrived_since_a_watch_began_is_matched_though_it_was_read_before_it(town: Town) -> None:
    person = vectors(1, 5)[0]
    shard = await town.opened()
    await town.see("cam-0", person[None], NOW + 1)
    await town.catch_up(shard)
    await town.say(started(town, person, at=NOW))
    await town.catch_up(shard)
    assert hits(shard) == ["cam-0:1-0"]


async def test_a_watch_survives_a_restart_and_ends_with_its_own_end_or_its_case(town: Town) -> None:
    person = vectors(1, 5)[0]
    await town.say(started(town, person))
    (await town.opened()).close()
    shard = await town.opened()
    await town.see("cam-0", person[None], NOW + 1)
    await town.catch_up(shard)
    assert len(hits(shard)) == 1
    at = from_micros(NOW + 2)
    await town.say(WatchEnded(at=at, case="c-1", by="officer-1", watch="w-1", reason="enough"))
    await town.say(started(town, person, watch="w-2"))
    await town.catch_up(shard)
    shard.catalogue.do("DELETE FROM tasks")
    await town.see("cam-0", person[None], NOW + 5)
    await town.catch_up(shard)
    assert [one.data["watch"] for one in shard.catalogue.tasks("hits")] == ["w-2"]
    await town.say(CaseClosed(at=at, case="c-1", by="officer-1", outcome="found", reason="at home"))
    await town.catch_up(shard)
    shard.catalogue.do("DELETE FROM tasks WHERE kind = 'hits'")
    await town.see("cam-0", person[None], NOW + 9)
    await town.catch_up(shard)
    assert hits(shard) == []


async def test_cameras_of_a_watch_and_copies_of_a_shard(town: Town) -> None:
    person = vectors(1, 5)[0]
    await town.say(started(town, person, cameras=("cam-1",)))
    await town.see("cam-0", person[None], NOW + 1)
    await town.see("cam-1", person[None], NOW + 1)
    first, copy = await town.opened(), await town.opened(Place(copy=1))
    assert hits(first) == ["cam-1:2-0"]
    assert hits(copy) == []


async def test_a_closed_case_leaves_a_task_until_its_receipt(town: Town) -> None:
    person, at = vectors(1, 5)[0], from_micros(NOW)
    watch = started(town, person)
    await town.say(watch)
    seen = Candidate(camera="cam-0", sighting="s-1", time=at, model=MODEL, score=0.9, probability=None)
    await town.say(CandidateConfirmed(at=at, case="c-1", by="officer-1", candidate=seen, reason="her coat"))
    await town.say(CaseClosed(at=at, case="c-1", by="officer-1", outcome="found", reason="at home"))
    shard = await town.opened()
    assert [one.key for one in shard.catalogue.tasks("case")] == ["c-1"]
    assert shard.catalogue.ask("SELECT camera, sighting FROM case_sightings") == [("cam-0", "s-1")]
    assert shard.catalogue.ask("SELECT object FROM case_objects") == [(watch.query,)]
    await town.say(CaseErased(at=at, case="c-1", by="system", objects=(watch.query,), erasures=()))
    await town.catch_up(shard)
    assert shard.catalogue.tasks("case") == []
    assert shard.catalogue.ask("SELECT 1 FROM case_objects") == []


def curve(a: float, b: float, threshold: float = 0.5) -> Calibration:
    return Calibration(
        a=a,
        b=b,
        prior=0.01,
        threshold=threshold,
        false_positive_rate=0.001,
        same_pairs=1,
        different_pairs=1,
        persons=1,
        data="x",
    )


def test_a_probability_becomes_a_cosine_by_the_models_calibration() -> None:
    known = {MODEL: curve(20, -10, 0.7)}

    def least(model: str, asked: float | None) -> float:
        return least_scores((model,), known, asked)[model]

    assert least(MODEL, 0.5) == pytest.approx(0.5)
    assert least(MODEL, 1.0) > least(MODEL, 0.9) > 0.5
    assert least(MODEL, None) == 0.7
    assert least("unknown", 0.7) == 0.7
    assert least("unknown", None) == UNCALIBRATED


def test_the_thresholds_of_the_models_that_pip_brings_can_be_reached() -> None:
    for known in (fitted.COLOURS, fitted.BODY_0288, fitted.GALLERY_FACES):
        assert least_scores((MODEL,), {MODEL: known}, None)[MODEL] < most_scores((MODEL,), {MODEL: known}, {})[MODEL]


async def test_a_watch_hits_from_the_score_that_was_kept_with_its_query(town: Town) -> None:
    person, other = vectors(2, 5)
    near = 0.8 * person + 0.6 * (other - (other @ person) * person)
    shard = await town.opened(calibrations={MODEL: curve(7, -9)})
    # A probability of 0.9 would need a cosine of 1.6.
    await town.say(started(town, person, least={MODEL: 0.7}))
    await town.catch_up(shard)
    await town.see("cam-0", np.stack([near, other]), NOW + 1)
    await town.catch_up(shard)
    assert hits(shard) == ["cam-0:1-0"]


async def test_attributes_of_a_watch_are_evidence(town: Town) -> None:
    person = vectors(1, 5)[0]
    calibration = curve(20, -10)
    shard = await town.opened(calibrations={MODEL: calibration})
    await town.say(started(town, person, soft={"upper": "red"}, least={MODEL: 0.97}))
    await town.catch_up(shard)
    unlike = vectors(1, 6)[0]
    attributes = [{"upper": "red"}, {"upper": "blue"}, {"upper": None}, None, {"upper": "red"}]
    near = [person * 0.95 + 0.3 * unlike] * 4 + [unlike]
    rows = np.stack([one / np.linalg.norm(one) for one in near])
    plain = float(rows[0] @ person)
    assert 0.9 < plain < 0.97
    await town.see("cam-0", rows, NOW + 1, attributes=attributes)
    await town.catch_up(shard)
    (told,) = shard.catalogue.tasks("hits")
    assert told.data["candidate"]["sighting"] == "cam-0:1-0"
    assert told.data["candidate"]["score"] == pytest.approx(plain + ASSUMED["upper"].agrees / 20, abs=1e-5)
