"""The commands that wait for a shard: queued, decided into the next commit, answered or refused."""

from collections import deque
from dataclasses import replace
from typing import Generic, TypeVar

from actors.commit import MAX_BYTES, Asked, Work
from actors.context import Context
from actors.journal import UNANSWERED, Entry, Journal
from actors.meters import ShardMeter
from actors.replay import ShardState, answer_json
from schemas.base import Event
from schemas.errors import BomnaeError, InvalidError, UnavailableError
from schemas.registry import command_to_json

S = TypeVar("S")

MAX_QUEUED = 10_000
"""Commands that may wait for one shard; more are answered with 503."""


class Deciding(Generic[S]):
    """The queue of one shard named `name`."""

    def __init__(self, context: Context[S], name: str) -> None:
        self._context, self._name = context, name
        self._queue: deque[Asked] = deque()
        self._owed: tuple[Asked, Entry] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, asked: Asked) -> None:
        """Queue a command. Raises `UnavailableError` when too many wait."""
        if len(self._queue) >= MAX_QUEUED:
            raise UnavailableError(f"{self._name} has {MAX_QUEUED} commands waiting", retry_after_s=1)
        self._queue.append(asked)

    def decide(self, state: ShardState[S], work: Work, meter: ShardMeter) -> None:
        """Decide what waits, as much as the commit has room for, and evolve the state by its events."""
        while self._queue and not state.owed and work.room:
            if not self._take(self._queue[0], state, work, meter):
                return
            self._queue.popleft()

    def _take(self, asked: Asked, state: ShardState[S], work: Work, meter: ShardMeter) -> bool:
        """Decide one command and see to its answer; False, and nothing done, where it is for the next commit."""
        if asked.done.cancelled():
            return True
        try:
            if (known := _known(asked, state.journal)) is not None:
                _answer_known(asked, known, work)
                _count(meter, asked, "repeated")
                return True
            events, data, command = self._leads_to(state, asked)
        except BomnaeError as error:
            asked.done.set_exception(error)
            meter.decided("refused")
            return True
        if not work.takes(len(command) + len(asked.answer) + sum(map(len, data))):
            return False
        _count(meter, asked, "done" if events else "unchanged")
        taken = events[: work.fitting(data)]
        for event in taken:
            self._context.evolve(state.domain, event)
        work.add(taken, data[: len(taken)], [asked.trace] * len(taken))
        entry = Entry(asked.digest, asked.at, 0, asked.answer or answer_json(events, data))
        if command:
            work.note(asked, command)
        if asked.key:
            state.journal.keep(asked.key, entry)
        if rest := events[len(taken) :]:
            state.owed.extend(rest)
            self._owed = (asked, entry)
        else:
            work.answers.append((asked, entry))
        return True

    def _leads_to(self, state: ShardState[S], asked: Asked) -> tuple[list[Event], list[bytes], bytes]:
        """The events of a command and their JSON, and its own, empty where it need not be kept.

        Raises what the decider raises, and `InvalidError` where one of them is larger than a message: before anything
        is changed, since such a commit could never be stored.
        """
        events = self._context.decide(state.domain, asked.command) if asked.command is not None else []
        data = [event.to_json() for event in events]
        command = b""
        if events or asked.key:
            command = command_to_json(asked.command) if asked.command is not None else b"null"
        if (largest := max(len(command) + len(asked.answer), *map(len, data), 0)) > MAX_BYTES:
            kept = f"{largest:,} bytes in one command or event, and at most {MAX_BYTES:,} can be kept"
            raise InvalidError(f"this request leads to {kept}: send less at once, or divide the entity")
        return events, data, command

    def pay(self, state: ShardState[S]) -> Work:
        """The next part of a command whose events did not fit into one batch."""
        work = Work(end=state.position)
        trace = self._owed[0].trace if self._owed is not None else ""
        while state.owed and work.room:
            event = state.owed.popleft()
            self._context.evolve(state.domain, event)
            work.add([event], [event.to_json()], [trace])
        if not state.owed and self._owed is not None:
            work.answers.append(self._owed)
            self._owed = None
        return work

    def refuse_waiting(self, why: BomnaeError | None = None) -> None:
        """Answer all that wait with an error."""
        waiting = list(self._queue)
        self._queue.clear()
        self.refuse(waiting, why)

    def refuse_owed(self) -> None:
        """Answer the command that is half stored: its owner leaves."""
        if self._owed is not None:
            self.refuse([self._owed[0]])

    def refuse(self, asked: list[Asked], why: BomnaeError | None = None) -> None:
        """Answer those who were not answered yet."""
        for one in asked:
            if not one.done.done():
                unknown = f"the owner of {self._name} left: whether the write landed is unknown, repeat its key"
                one.done.set_exception(why or UnavailableError(unknown))


def _count(meter: ShardMeter, asked: Asked, outcome: str) -> None:
    if asked.command is not None:
        meter.decided(outcome)


def _known(asked: Asked, journal: Journal) -> Entry | None:
    """The first answer under this key; None where there is none, or it is what this one brings."""
    known = journal.find(asked.key, asked.digest, asked.at)
    return None if known is not None and asked.answer and known.events == UNANSWERED else known


def _answer_known(asked: Asked, entry: Entry, work: Work) -> None:
    if entry.sequence:
        asked.done.set_result(replace(entry, repeated=True))
    else:
        work.answers.append((asked, entry))
