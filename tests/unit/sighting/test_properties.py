"""Laws of the sighting context: batches do not show, replay needs no input, snapshots hold everything."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sighting.keys import Seen
from schemas.registry import read_event
from schemas.sighting import BlockErased, CompleteErasure
from schemas.tables import PUBLISHED
from streams.ingest import Observed
from tests.unit.sighting.scenario import City, arrow, at, register, request, row

CAMERAS = ("cam-1", "cam-2")

SAID = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(CAMERAS), st.integers(0, 12), st.sampled_from(["m-1", "m-2"]), st.sampled_from([2, 3])
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


def city() -> City:
    return City(*(register(camera, gateway="north", silent_after_s=60) for camera in CAMERAS))


def messages(said: list[list[tuple[Any, ...]]]) -> list[Observed]:
    """A message every 20 s from the gateway: rows of two cameras, with repeats and bad dimensions among them."""
    speaker = City()
    return [
        speaker.say(
            arrow([row(f"s-{n}", camera, model=model, embedding=[1.0] * size) for camera, n, model, size in rows]),
            seconds=20.0 * number,
            kind="gw-north",
        )
        for number, rows in enumerate(said)
    ]


def told(outcomes: list[Any]) -> list[str]:
    return [event.model_dump_json() for outcome in outcomes for event in outcome.events]


def observed_in(pieces: list[list[Observed]]) -> tuple[City, list[str]]:
    folded, outcomes = city(), []
    for piece in pieces:
        outcomes.append(folded.context.observe(folded.state, piece, folded.position, 499))
        folded.position = outcomes[-1].end
        folded.objects |= dict(outcomes[-1].objects)
    return folded, told(outcomes)


@given(SAID, st.data())
@settings(max_examples=60)
def test_any_division_of_the_messages_gives_the_same_events_blocks_and_digest(
    said: list[list[tuple[Any, ...]]], data: st.DataObject
) -> None:
    stream = messages(said)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=4))
    edges = sorted({0, len(stream), *cuts})
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    (one, events), (other, others) = observed_in([stream]), observed_in(pieces)
    assert events == others
    assert one.objects == other.objects
    assert one.digest == other.digest


@given(SAID)
@settings(max_examples=40)
def test_a_sighting_counts_once_however_often_it_comes(said: list[list[tuple[Any, ...]]]) -> None:
    stream = messages(said)
    once, _ = observed_in([stream])
    twice, _ = observed_in([stream])
    before, sightings = twice.digest, sum(camera.sightings for camera in twice.state.cameras.values())
    again = [Observed(len(stream) + n, m.entity, m.kind, m.arrived, {}, m.data) for n, m in enumerate(stream, 1)]
    outcome = twice.context.observe(twice.state, again, twice.position, 499)
    assert outcome.events == []
    assert (twice.digest, outcome.rows) == (before, 0)
    good = {(camera, block, key) for camera in CAMERAS for block, key in keys_of(once, camera)}
    assert len({(camera, key) for camera, _, key in good}) == len(good) == sightings


def keys_of(folded: City, camera: str) -> list[tuple[str, int]]:
    return [(name, key) for name, one in folded.state.cameras[camera].blocks.items() for key in one.keys.tolist()]


@given(SAID)
@settings(max_examples=40)
def test_the_events_alone_lead_to_the_same_state(said: list[list[tuple[Any, ...]]]) -> None:
    folded, _ = observed_in([messages(said)])
    replayed = city()
    outcome = city().context.observe(city().state, messages(said), replayed.position, 499)
    for event in outcome.events:
        replayed.context.evolve(replayed.state, read_event(event.type, event.model_dump_json().encode()))
    assert replayed.digest == folded.digest


@given(SAID, st.booleans(), st.integers(0, 3))
@settings(max_examples=40)
def test_a_snapshot_holds_everything_that_the_state_goes_on_with(
    said: list[list[tuple[Any, ...]]], erase: bool, days: int
) -> None:
    folded, _ = observed_in([messages(said)])
    blocks = folded.blocks()
    if erase and blocks:
        folded.do(request(window={"start": at(0), "end": at(1)}))
        gone = [
            BlockErased(before=name, after="", rows=block.rows, left=0)
            for name, block in folded.state.cameras["cam-1"].blocks.items()
        ]
        known = {"erasure": "e-1", "blocks": gone, "segments": ()}
        folded.do(CompleteErasure(at=at(200), by="search", camera="cam-1", **known))
    folded.tick(days * 86_400)
    saved = folded.context.dump(folded.state)
    loaded = copy.copy(folded)
    loaded.state = folded.context.load(saved)
    assert loaded.digest == folded.digest
    assert {n: t.schema for n, t in loaded.context.tables(loaded.state).items()} == PUBLISHED["sighting"]
    assert loaded.context.tables(loaded.state) == folded.context.tables(folded.state)
    later = messages([*said, [("cam-1", 1, "m-1", 2), ("cam-2", 99, "m-2", 3)]])[len(said) :]
    ends = [one.context.observe(one.state, later, folded.position, 499).events for one in (loaded, folded)]
    assert ends[0] == ends[1]
    assert loaded.tick(40 * 86_400) == folded.tick(40 * 86_400)
    assert loaded.digest == folded.digest


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 40), max_size=8)), max_size=25))
def test_the_set_of_keys_is_a_set(steps: list[tuple[bool, set[int]]]) -> None:
    seen, known = Seen(), set[int]()
    for adding, keys in steps:
        if adding:
            seen.add(np.array(sorted(keys - known), np.uint64))
            known |= keys
        else:
            seen.remove(np.array(sorted(keys), np.uint64))
            known -= keys
        asked = np.arange(42, dtype=np.uint64)
        assert set(asked[seen.contains(asked)].tolist()) == known
        assert len(seen) == len(known)
