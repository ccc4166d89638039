"""The owner of one shard: load → claim → observe → decide → commit → evolve, fenced by the log.

A plain class: `actors/host.py` runs many of them, `actors/actor.py` wraps the host for Ray. Whatever goes wrong
half-way, the owner is thrown away and a new one loads from the log; nothing here repairs state in place.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from actors.commit import Asked, Sealer, Work
from actors.context import Context, Published
from actors.deciding import Deciding
from actors.feeding import Feeding, Sinks, stubbornly
from actors.forgetting import Forgetting
from actors.meters import Numbers, ShardMeter
from actors.pace import gathering_s
from actors.replay import MAX_EVENTS, ShardState, catch_up, load
from actors.saving import Saving
from schemas.base import Event
from schemas.errors import (
    AppendTimeoutError,
    FencedError,
    SequenceConflictError,
    StorageFullError,
    UnavailableError,
)
from streams.ingest import IngestSource, Observed
from streams.log import Batch, EventStore, Position, Record, read_batches
from streams.snapshots import Snapshots

logger = logging.getLogger(__name__)
S = TypeVar("S")

PULL = 200
"""Messages of INGEST folded in one commit at most."""
TICK_EVERY = 1_000_000
"""Microseconds between two looks at the timers."""
LOOK_AHEAD = 100
"""Commands that wait, from which on the next batch is decided while one is stored."""
_SENT_S = 0.001
"""Time for a batch to leave the process before the next is decided."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
"""Seconds before an append that was not answered is tried again, the first time and at most."""


class Shard(Generic[S]):
    """One shard in the hands of one owner.

    `clock` gives µs UTC and is the only clock. `on_change` is called in the moment of each commit. `settled` says that
    the state is as of the newest commit: while one is under way it is ahead of the log, and nobody may see it. Where
    many commands wait it stays ahead from one commit to the next; who wants to see it sets `wanted`.
    """

    def __init__(
        self,
        context: Context[S],
        number: int,
        store: EventStore,
        ingest: IngestSource,
        snapshots: Snapshots,
        sinks: Sinks,
        clock: Callable[[], int],
        on_change: Callable[[], None] = lambda: None,
        snapshot_every: int = 300_000_000,
    ) -> None:
        self.context, self.number, self.store = context, number, store
        self._ingest, self._sinks, self._snapshots = ingest, sinks, snapshots
        self._clock, self._on_change = clock, on_change
        self.state: ShardState[S] = ShardState(context.initial_state())
        self.deciding = Deciding(context, store.name)
        self.saving = Saving(context, number, snapshots, snapshot_every, store.name)
        self._carry: list[Observed] = []
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._pulled, self._folding_s, self._spare_s = 0, 0.0, 0.0
        self._sealer, self.feeding = Sealer(context, number), Feeding(sinks, store)
        self.forgetting = Forgetting(sinks, context.name, number)
        self.meter = ShardMeter(Numbers(), context.name, number)
        self._ticked = self._rows = 0
        self._leaving = False
        self._ahead: Work | None = None
        self.full = self.wanted = False
        self.settled = True

    def submit(self, asked: Asked) -> None:
        """Queue a command; `asked.done` resolves when it is durable. Raises `UnavailableError` when too many wait."""
        if self.full:
            raise UnavailableError(str(StorageFullError(self.store.name)), retry_after_s=5)
        self.deciding.put(asked)
        self._wake.set()
        self._hurry.set()

    def published(self) -> Published:
        """The state as readers see it; only while it is `settled`."""
        state = self.state
        tables = self.context.tables(state.domain)
        position = state.position.sequence
        return Published(self.context.name, self.number, state.sequence, state.stored_at, tables, position)

    def measure(self) -> None:
        """Tell the meter how the shard stands."""
        self.meter.stands(
            log_position=self.state.sequence,
            ingest_position=self.state.position.sequence,
            ingest_waiting=self._ingest.waiting + len(self._carry),
            queue=len(self.deciding),
            feed_backlog=self.feeding.backlog,
            snapshot_age_seconds=(self._clock() - self.saving.dumped_at) / 1e6 if self.saving.dumped_at else 0,
        )

    def leave(self) -> None:
        """Have `run` return after the commit under way, with a snapshot where the next start would have to fold."""
        self._leaving = True
        self._wake.set()
        self._hurry.set()

    async def run(self) -> None:
        """Own the shard until `leave` or cancelled.

        Raises `FencedError` when a newer owner has claimed it: leave for good.
        """
        feeding: asyncio.Task[None] | None = None
        forgetting: asyncio.Task[None] | None = None
        try:
            await self.start()
            feeding = asyncio.create_task(self.feeding.run(), name=f"feed {self.store.name}")
            if self.context.observed:
                forgetting = asyncio.create_task(self.forgetting.run(), name=f"forget {self.store.name}")
            while not feeding.done() and (self._ahead or not self._leaving):
                if not await self.step():
                    await self._rest()
                elif self._spare_s and not self.deciding:
                    await self._let_gather()
            if self._leaving:
                await self._settle()
            else:
                await feeding
        finally:
            if feeding is not None:
                feeding.cancel()
            if forgetting is not None:
                forgetting.cancel()
            self.saving.cancel()
            await self._ingest.close()
            self.deciding.refuse_waiting()
            self.deciding.refuse([asked for asked, _ in self._ahead.answers] if self._ahead else [])
            self.deciding.refuse_owed()

    async def start(self) -> None:
        """Load, claim the next epoch, and begin to read behind the committed position."""
        self.state = await load(self.context, self.store, self._ingest, self._snapshots)
        new = not self.state.sequence
        await self._claim()
        self.saving.plan(self.state, new)
        if self.context.observed:
            held = self.context.objects(self.state.domain)
            await stubbornly(lambda: self._sinks.sweep(self.context.name, self.number, held), self.store.name)
            self.forgetting.upto(self.state.position)
        await self._ingest.open(self.state.position, self._wake)
        await self.feeding.again(self.state.fed)
        self._on_change()

    async def step(self) -> bool:
        """Commit what there is to commit; whether there was anything."""
        self.settled, self._rows, self._pulled = False, 0, 0
        if self._ahead is not None:
            work, self._ahead = self._ahead, None
        elif self.state.owed:
            work = self.deciding.pay(self.state)
        else:
            work = await self._gather()
        moved = work.end != self.state.position
        if not (work.events or work.journal or moved):
            # What was asked is already so: the newest commit holds it.
            self.settled = True
            self._answer(work, self.state.sequence)
            self._save_if_due()  # what came while another was on its way, and nothing since
            if self.wanted:
                self._on_change()
            return bool(work.answers)
        try:
            await self._commit(work)
        finally:
            self.deciding.refuse([asked for asked, _ in work.answers])
        return True

    async def _settle(self) -> None:
        await self.saving.finish()
        if self.context.observed:
            await self.forgetting.once()
        # Without a commit of ours the log ends with our claim, and a snapshot stands at a commit.
        if self.saving.unsaved and not self.state.owed:
            await self.saving.save(self.state)

    async def _rest(self) -> None:
        if self._leaving:
            return
        self._wake.clear()
        left = max(self._ticked + TICK_EVERY - self._clock(), TICK_EVERY // 20)
        try:
            async with asyncio.timeout(left / 1e6):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _let_gather(self) -> None:
        """Wait for more readings, unless a command comes."""
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._spare_s):
                await self._hurry.wait()

    async def _claim(self) -> None:
        pause = _PAUSE_S
        while True:
            expected = await self.store.last_sequence()
            # Only now: the claim tells position, number and digest of everything up to `expected`, by our rules.
            await catch_up(self.context, self.state, self.store, self._ingest)
            epoch = self.state.epoch + 1
            self.context.follow(self.state.domain, self.context.fold_version)
            if self.state.digest:
                self.state.digest = self.context.digest(self.state.domain)
            record = self._sealer.claim(self.state, epoch, self._attempt_id(epoch, expected), self._clock())
            try:
                sequence = await self.store.append([record], expected)
            except (SequenceConflictError, AppendTimeoutError) as error:
                sequence = 0
                pause = await _pause_after(error, pause)
            await catch_up(self.context, self.state, self.store, self._ingest)
            if sequence and self.state.sequence == sequence and self.state.epoch == epoch:
                return

    def _attempt_id(self, epoch: int, expected: int) -> str:
        # Unique per owner and attempt: two owners differ in `id(self)` and time, one owner in the expected sequence.
        return f"{self.context.name}-{self.number}-{epoch}-{expected}-{self._clock():x}-{id(self):x}"

    async def _gather(self) -> Work:
        work = Work(end=self.state.position)
        found: list[Event] = []
        traces: list[str] = []
        messages = self._carry or self._ingest.pull(PULL)
        self._pulled, began = len(messages), _now_s()
        if messages:
            outcome = self.context.observe(self.state.domain, messages, self.state.position, MAX_EVENTS)
            self._folding_s = _now_s() - began
            found, work.end, self._rows = list(outcome.events), outcome.end, outcome.rows
            traces, work.arrived = outcome.traces, messages[0].arrived
            self._carry = [message for message in messages if message.sequence > outcome.end.sequence]
            if outcome.rejections:
                refused = outcome.rejections
                await stubbornly(lambda: self._sinks.reject(self.context.name, refused), self.store.name)
                self.meter.rejected(len(refused))
            if outcome.objects:
                kept = outcome.objects
                await stubbornly(lambda: self._sinks.keep(self.context.name, self.number, kept), self.store.name)
        now = self._clock()
        if now >= self._ticked + TICK_EVERY and (clock := self._clock_of_timers(messages, work.end, now)):
            self._ticked = now
            if events := self.context.tick(self.state.domain, clock):
                found, work.clock = found + events, clock
        work.add(found, [event.to_json() for event in found], traces)
        self.deciding.decide(self.state, work, self.meter)
        return work

    def _clock_of_timers(self, messages: list[Observed], end: Position, now: int) -> int:
        """Up to when everything that arrived is folded, so that a backlog does not look like silence; 0 for unknown."""
        if not messages:
            return now if self._ingest.caught_up else 0
        return max((message.arrived for message in messages if message.sequence <= end.sequence), default=0)

    async def _commit(self, work: Work) -> None:
        began = _now_s()
        self.state.digest = self.context.digest(self.state.domain)
        quiet = self._pulled and not (work.events or work.journal)
        self._spare_s = gathering_s(self._pulled, PULL, self._folding_s, _now_s() - began) if quiet else 0.0
        attempts: set[str] = set()
        expected, landed, began, pause = self.state.sequence, None, 0, _PAUSE_S
        while landed is None:
            attempt = self._attempt_id(self.state.epoch, expected)
            attempts.add(attempt)
            records, commit = self._sealer.batch(self.state, work, attempt, self.feeding.done, self._clock())
            began = began or records[-1].time
            try:
                landed = await self._append(records, expected, work)
            except StorageFullError as error:
                self._pause(error)
                await asyncio.sleep(0.5)
            except (SequenceConflictError, AppendTimeoutError) as error:
                logger.warning("%s: commit behind %s is unsure, reading the tail", self.store.name, expected)
                pause = await _pause_after(error, pause)
            if landed is None:
                landed, expected = await self._landed(attempts)
        self.full = False
        self._after(work, landed)
        self.meter.committed(len(work.events), self._rows, began, self.state.stored_at, work.arrived)
        await self.feeding.put(Batch(tuple(records[:-1]), commit, attempt, landed, 0))
        self._save_if_due()

    def _save_if_due(self) -> None:
        if self.saving.unsaved and self.saving.due(self.state) and not self.state.owed and self._ahead is None:
            # Dumped here and now: by the time the task runs, the next commit may already be under way.
            self.saving.begin(self.state)

    async def _append(self, records: list[Record], expected: int, work: Work) -> int:
        """Append, and where many commands wait decide the next while the server stores these.

        Nothing of the next is sent before these have landed, and whatever ends these ends the owner with both.
        """
        if not self._may_look_ahead():
            return await self.store.append(records, expected)
        appending = asyncio.ensure_future(self.store.append(records, expected))
        try:
            await asyncio.wait([appending], timeout=_SENT_S)
            if not appending.done():
                ahead = Work(end=work.end)
                self.deciding.decide(self.state, ahead, self.meter)
                self._ahead = ahead if ahead.events or ahead.journal or ahead.answers else None
            return await appending
        finally:
            appending.cancel()

    def _may_look_ahead(self) -> bool:
        """Whether it pays, and nothing else has its turn: input, timers, readers of the state, a snapshot, leaving."""
        if len(self.deciding) < LOOK_AHEAD or self.state.owed or self._ahead is not None:
            return False
        due = self._clock() >= self._ticked + TICK_EVERY or self.saving.due(self.state)
        return not (due or self._ingest.waiting or self._carry or self.wanted or self._leaving)

    def _after(self, work: Work, sequence: int) -> None:
        self.state.sequence, self.state.position = sequence, work.end
        self.forgetting.upto(work.end)
        self.state.number, self.state.stored_at = self.state.number + 1, self._clock()
        self.settled = self._ahead is None
        self.saving.committed(self._rows)
        self._answer(work, sequence)
        self._on_change()

    def _answer(self, work: Work, sequence: int) -> None:
        for asked, entry in work.answers:
            # A repeat that was decided while the first was on its way is answered with the first one's place.
            entry.sequence = entry.sequence or sequence
            if not asked.done.done():
                asked.done.set_result(entry)

    async def _landed(self, attempts: set[str]) -> tuple[int | None, int]:
        """After a failed append: where one of our attempts landed after all, or else the sequence to expect next.

        The newest sequence is asked for *before* the tail is read, so that a claim that lands in between makes the
        next append fail instead of slipping behind it. Raises `FencedError` behind a newer epoch. Waits while the
        server is away.
        """
        while True:
            try:
                newest = await self.store.last_sequence()
                async for batch in read_batches(self.store, self.state.sequence):
                    if batch.id in attempts:
                        return batch.sequence, newest
                    if batch.commit.epoch > self.state.epoch:
                        raise FencedError(self.store.name, self.state.epoch, batch.commit.epoch)
                return None, newest
            except UnavailableError:
                await asyncio.sleep(0.2)

    def _pause(self, error: StorageFullError) -> None:
        if not self.full:
            logger.error("%s", error)
            self.full = True
        self.deciding.refuse_waiting(UnavailableError(str(error), retry_after_s=5))


async def _pause_after(error: Exception, pause_s: float) -> float:
    """Give a server that did not answer time, twice as much after each failure; the next pause in seconds."""
    if not isinstance(error, AppendTimeoutError):
        return pause_s
    await asyncio.sleep(pause_s)
    return min(2 * pause_s, _LONGEST_PAUSE_S)


def _now_s() -> float:
    """For durations alone: nothing that is stored depends on it."""
    return asyncio.get_running_loop().time()
