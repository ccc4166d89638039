"""What one commit holds, and the records of its batch: the events, then the commit record that seals them."""

import asyncio
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, TypeVar

import orjson

from actors.context import Context
from actors.journal import Entry
from actors.replay import ShardState
from schemas.base import Command, Event, micros
from streams.codec import SYNTHETIC, TRACEPARENT
from streams.log import CLAIMED, COMMITTED, MAX_BATCH, SHARD_ENTITY, Commit, Position, Record
from streams.subjects import log_subject

S = TypeVar("S")

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of one event or command at most, and of all in one commit, but for one command that is alone in it.

Half of what one message may hold, the commit record with all commands being one: the rest is for keys and headers.
"""


@dataclass(slots=True)
class Asked:
    """One command in the queue; `command` is None where only a key is claimed, or given its `answer` (JSON).

    `trace` is the `traceparent` of the request, which the events carry on.
    """

    command: Command | None
    key: str
    digest: str
    at: int
    done: "asyncio.Future[Entry]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer: str = ""
    trace: str = ""


@dataclass(slots=True)
class Work:
    """What the next commit will hold, per event its JSON in `data` (made once for log and answer) and its trace.

    `arrived` is when the oldest of its input came, 0 where it has none.
    """

    events: list[Event] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    end: Position = field(default_factory=Position)
    clock: int = 0
    journal: list[dict[str, object]] = field(default_factory=list)
    answers: list[tuple[Asked, Entry]] = field(default_factory=list)
    size: int = 0
    arrived: int = 0

    @property
    def room(self) -> int:
        """How many more events fit; 0 where a command more would make the batch too large."""
        if len(self.journal) >= MAX_BATCH or self.size >= MAX_BYTES:
            return 0
        return MAX_BATCH - 1 - len(self.events)

    def takes(self, size: int) -> bool:
        """Whether a command with its events, of so many bytes, belongs into this commit rather than the next.

        The first is always taken: where input goes on coming, no commit is without any.
        """
        return not self.journal or self.size + size <= MAX_BYTES

    def fitting(self, data: list[bytes]) -> int:
        """How many of a command's events, given as JSON, go into this commit; the rest goes into the next ones."""
        before = accumulate(map(len, data[:-1]), initial=self.size)
        return min(self.room, sum(size < MAX_BYTES for size in before))

    def note(self, asked: Asked, command: bytes) -> None:
        """Keep a command, as JSON, in the commit record."""
        self.size += len(command) + len(asked.answer) + len(asked.key)
        entry = {"key": asked.key, "digest": asked.digest, "at": asked.at, "command": orjson.Fragment(command)}
        self.journal.append(entry | ({"answer": asked.answer} if asked.answer else {}))

    def add(self, events: list[Event], data: list[bytes], traces: list[str]) -> None:
        """Take events that are evolved already, with their JSON and the traces of the first of them."""
        self.events += events
        self.data += data
        self.traces += traces + [""] * (len(events) - len(traces))
        self.size += sum(map(len, data))


@dataclass(frozen=True, slots=True)
class Sealer(Generic[S]):
    """Makes the records of a shard's batches. Pure: the same state, work and arguments give the same records."""

    context: Context[S]
    shard: int

    def batch(self, state: ShardState[S], work: Work, attempt: str, fed: int, now: int) -> tuple[list[Record], Commit]:
        """The events of `work` and their commit record, and what that says; `attempt` is the batch id, `now` µs UTC."""
        name, number = self.context.name, state.number + 1
        records = [
            Record(
                subject=log_subject(name, self.shard, event.entity, event.name),
                type=event.type,
                data=data,
                id=f"{name}-{self.shard}-{number}-{index}",
                batch=attempt,
                time=micros(event.at),
                headers=self._headers(state.domain, event, trace),
            )
            for index, (event, data, trace) in enumerate(zip(work.events, work.data, work.traces, strict=True))
        ]
        commit = self._commit(state, COMMITTED, work, state.epoch, fed)
        return [*records, self._seal(commit, attempt, now)], commit

    def _headers(self, domain: S, event: Event, trace: str) -> dict[str, str]:
        headers = {TRACEPARENT: trace} if trace else {}
        if self.context.synthetic(domain, event):
            headers[SYNTHETIC] = "true"
        return headers

    def claim(self, state: ShardState[S], epoch: int, attempt: str, now: int) -> Record:
        """The one record by which an owner of a new epoch takes the shard."""
        work = Work(end=state.position)
        return self._seal(self._commit(state, CLAIMED, work, epoch, state.fed), attempt, now)

    def _commit(self, state: ShardState[S], kind: str, work: Work, epoch: int, fed: int) -> Commit:
        return Commit(
            kind=kind,
            context=self.context.name,
            shard=self.shard,
            epoch=epoch,
            number=state.number + 1,
            start=state.position,
            end=work.end,
            clock=work.clock,
            events=len(work.events),
            digest=state.digest,
            fold_version=self.context.fold_version,
            fed=fed,
            commands=work.journal,
        )

    def _seal(self, commit: Commit, attempt: str, now: int) -> Record:
        return Record(
            subject=log_subject(commit.context, self.shard, SHARD_ENTITY, commit.kind),
            type=f"city.shard.{commit.kind}.v1",
            data=commit.to_json(),
            id=f"{commit.context}-{self.shard}-{commit.number}-{commit.kind}",
            batch=attempt,
            time=now,
        )
