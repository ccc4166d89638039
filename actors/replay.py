"""The state of a shard and how a committed batch is applied to it: observe, tick, decide again, compare.

Loading a shard, `as_of` and `bomnae verify` are this and nothing else. Derived events are compared with the stored
ones at every commit, so a log that says something else than the program derives is noticed where it happens. The digest
is compared at the last commit, and with `every_digest` at each: over many sensors it costs more than the fold.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import orjson
import pyarrow as pa

from actors.context import Context
from actors.journal import Entry, Journal
from schemas.base import Event
from schemas.errors import DivergenceError, LostLogError
from schemas.registry import command_from_dict, is_old, read_event
from streams.ingest import IngestReplay, IngestSource, Observed
from streams.log import CLAIMED, COMMITTED, SHARD_ENTITY, Batch, Commit, EventStore, Position, Record, read_batches
from streams.snapshots import Snapshot, Snapshots

S = TypeVar("S")

MAX_EVENTS = 499
"""Events that one commit takes from observation, or from a tick; commands get the rest of the batch."""


@dataclass(slots=True)
class ShardState(Generic[S]):
    """Everything that a commit record moves. `owed`: events decided but not stored yet, of the newest command.

    `kept_at`: when the commit was stored that the snapshot stands at which this was loaded from; 0 for none.
    `tail`: readings that were folded again behind it.
    """

    domain: S
    journal: Journal = field(default_factory=Journal)
    position: Position = field(default_factory=Position)
    sequence: int = 0
    stored_at: int = 0
    epoch: int = 0
    number: int = 0
    fed: int = 0
    owed: deque[Event] = field(default_factory=deque)
    digest: str = ""
    kept_at: int = 0
    tail: int = 0


def apply(context: Context[S], state: ShardState[S], batch: Batch, messages: Sequence[Observed], log: str) -> None:
    """Apply one committed batch in place, but for the comparison of the digest.

    Raises `DivergenceError` when replay gives other events, or ends elsewhere in the input.
    """
    commit = batch.commit
    derived: list[Event] = []
    if commit.fold_version not in context.fold_versions:
        raise DivergenceError(log, batch.sequence, f"fold version ({context.fold_version})")
    context.follow(state.domain, commit.fold_version)
    if commit.kind != CLAIMED:
        if state.owed:
            _pay(context, state, derived, len(batch.events))
        else:
            _derive(context, state, batch, messages, derived, log)
        _compare(batch, derived, log)
    state.digest = commit.digest
    state.position, state.sequence, state.stored_at = commit.end, batch.sequence, batch.stored_at
    state.epoch, state.number, state.fed = commit.epoch, commit.number, max(state.fed, commit.fed)


def _pay(context: Context[S], state: ShardState[S], derived: list[Event], count: int) -> None:
    for _ in range(min(count, len(state.owed))):
        event = state.owed.popleft()
        context.evolve(state.domain, event)
        derived.append(event)


def _derive(
    context: Context[S],
    state: ShardState[S],
    batch: Batch,
    messages: Sequence[Observed],
    derived: list[Event],
    log: str,
) -> None:
    commit = batch.commit
    if commit.end != commit.start:
        if context.observed:
            derived += _told(context, state, batch)
        else:
            outcome = context.observe(state.domain, messages, commit.start, MAX_EVENTS)
            if outcome.end != commit.end:
                raise DivergenceError(log, batch.sequence, f"end of input ({outcome.end})")
            derived += outcome.events
            state.tail += outcome.rows
    if commit.clock:
        derived += context.tick(state.domain, commit.clock)
    for fields in commit.commands:
        events: list[Event] = []
        if fields["command"] is not None:
            events = context.decide(state.domain, command_from_dict(fields["command"]))
        taken = events[: len(batch.events) - len(derived)]
        for event in taken:
            context.evolve(state.domain, event)
        derived += taken
        state.owed.extend(events[len(taken) :])
        if fields["key"]:
            answer = Entry(fields["digest"], fields["at"], batch.sequence, fields.get("answer") or answer_json(events))
            state.journal.keep(fields["key"], answer)


def _told(context: Context[S], state: ShardState[S], batch: Batch) -> list[Event]:
    """The events that stand for the input, which is gone: the leading ones of their types, evolved."""
    told: list[Event] = []
    for record in batch.events:
        if record.type not in context.observed:
            break
        told.append(read_event(record.type, record.data))
        context.evolve(state.domain, told[-1])
    return told


def _compare(batch: Batch, derived: list[Event], log: str) -> None:
    if len(derived) != len(batch.events):
        raise DivergenceError(log, batch.sequence, f"number of events ({len(derived)})")
    for record, event in zip(batch.events, derived, strict=True):
        same = record.type == event.type and record.data == event.to_json()
        if not same and read_event(record.type, record.data) != event:
            raise DivergenceError(log, record.sequence, f"event ({event.type})")


def _compare_digest(context: Context[S], state: ShardState[S], log: str) -> None:
    # A claim before the first commit has none.
    if state.digest and context.digest(state.domain) != state.digest:
        raise DivergenceError(log, state.sequence, "digest")


def answer_json(events: Sequence[Event], data: Sequence[bytes] | None = None) -> str:
    """What a command answers with: its events, `type` beside the fields. `data`: their JSON where it is at hand."""
    texts = data if data is not None else [event.to_json() for event in events]
    parts = [b'{"type":"%b",%b' % (event.type.encode(), text[1:]) for event, text in zip(events, texts, strict=True)]
    return (b"[%b]" % b",".join(parts)).decode()


def newest_answer(text: str) -> str:
    """An answer of events as it would be given today: those of older versions in their newest shape."""
    said = orjson.loads(text)
    if not isinstance(said, list) or not any(isinstance(one, dict) and is_old(one.get("type", "")) for one in said):
        return text
    return answer_json([read_event(one.pop("type"), orjson.dumps(one)) for one in said])


async def load(
    context: Context[S],
    store: EventStore,
    ingest: IngestSource,
    snapshots: Snapshots | None,
    until: int | None = None,
    every_digest: bool = False,
    upto: int | None = None,
) -> ShardState[S]:
    """The state after the newest commit, or the last one stored at or before `until` (µs UTC) and not behind `upto`.

    From the newest fitting snapshot and the tail behind it; from the log's beginning without `snapshots`.
    Raises `DivergenceError`, `LostLogError` where the log lacks what the snapshot stands at, or `LogGapError` where the
    input behind a commit is no longer stored.
    """
    state = await _from_snapshot(context, store, snapshots, until, upto)
    await catch_up(context, state, store, ingest, until, every_digest, upto)
    return state


async def catch_up(
    context: Context[S],
    state: ShardState[S],
    store: EventStore,
    ingest: IngestSource,
    until: int | None = None,
    every_digest: bool = False,
    upto: int | None = None,
) -> None:
    """Apply the batches behind the state, with one reader over the input for all of them. Raises as `load` does."""
    before = state.sequence
    replay: IngestReplay | None = None
    try:
        async for batch in read_batches(store, state.sequence):
            if (until is not None and batch.stored_at > until) or (upto is not None and batch.sequence > upto):
                break
            messages: list[Observed] = []
            if batch.commit.end != batch.commit.start and not context.observed:
                replay = replay or await ingest.replay(batch.commit.start)
                messages = await replay.upto(batch.commit.end)
            apply(context, state, batch, messages, store.name)
            if every_digest:
                _compare_digest(context, state, store.name)
    finally:
        if replay is not None:
            await replay.close()
    if state.sequence != before:
        _compare_digest(context, state, store.name)


async def _from_snapshot(
    context: Context[S], store: EventStore, snapshots: Snapshots | None, until: int | None, upto: int | None = None
) -> ShardState[S]:
    found = await snapshots.newest(until, context.fold_versions, upto) if snapshots else None
    if found is None:
        return ShardState(context.initial_state())
    if await committed_digest(store, found.info.sequence) != found.info.digest:
        raise LostLogError(store.name, found.info.sequence)
    return restored(context, found)


async def commit_at(store: EventStore, sequence: int) -> Record | None:
    """The commit or claim record at a sequence; None where there is no such record."""
    records = store.read(sequence - 1)
    async with aclosing(records):  # type: ignore[type-var]
        async for record in records:
            kinds = (f"{SHARD_ENTITY}.{COMMITTED}", f"{SHARD_ENTITY}.{CLAIMED}")
            return record if record.sequence == sequence and record.subject.endswith(kinds) else None
    return None


async def committed_digest(store: EventStore, sequence: int) -> str | None:
    """The digest that the commit or claim at a sequence tells; None where there is no such record."""
    found = await commit_at(store, sequence)
    return None if found is None else Commit.from_json(found.data).digest


def restored(context: Context[S], found: Snapshot) -> ShardState[S]:
    """The state that a snapshot holds. Inverse of `dump`."""
    tables = dict(found.tables)
    shard = tables.pop("_shard").to_pylist()[0]
    journal = Journal.load(tables.pop("_journal"), newest_answer)
    domain = context.load(tables)
    context.follow(domain, found.info.fold_version)
    return ShardState(
        domain=domain,
        journal=journal,
        position=Position(shard["position"], shard["rows"]),
        sequence=found.info.sequence,
        stored_at=found.info.clock,
        epoch=shard["epoch"],
        number=shard["number"],
        fed=shard["fed"],
        digest=found.info.digest,
        kept_at=found.info.clock,
    )


def dump(context: Context[S], state: ShardState[S]) -> dict[str, pa.Table]:
    """The whole shard as tables, for a snapshot at its newest commit; not while events are owed."""
    shard = {
        "position": state.position.sequence,
        "rows": state.position.rows,
        "epoch": state.epoch,
        "number": state.number,
        "fed": state.fed,
    }
    return {**context.dump(state.domain), "_shard": pa.Table.from_pylist([shard]), "_journal": state.journal.dump()}
