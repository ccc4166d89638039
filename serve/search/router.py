"""The search as one replica of the API sees it: asks every shard, merges what comes in time, and says what did not.

A plain class; `call` reaches the shards. Questions that wait for the same copy of a shard travel in one call.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.base import from_micros, micros
from schemas.errors import BomnaeError, GoneError, InvalidError, UnavailableError
from schemas.models import ModelCard
from schemas.person import Candidate, Coverage
from schemas.road import Window
from serve.search import index_search
from serve.search.asking import Question, Replies, Reply
from serve.search.calibration import calibrations_of, probability
from serve.search.place import Place
from serve.search.protocol import Filters, Found, Photograph, Query
from serve.search.ranking import interleaved
from serve.search.soft import per_nat_of
from streams.ending import ended
from streams.subjects import partition

logger = logging.getLogger(__name__)

Call = Callable[..., Awaitable[Any]]
"""`call(name, method, *arguments)` on the actor of a name. Raises `UnavailableError` where it cannot be reached."""

CALL_S = 10.0
"""Longest call of a shard; whoever waits has a deadline of its own."""
LOOK_S = 2.0
"""Time between two looks for the shards of a new layout."""
_HOUR_US = 3_600_000_000
_NEVER = Window(start=from_micros(0), end=from_micros(1))


@dataclass(slots=True)
class _Copy:
    """One copy of a shard: what waits for it, and whether it answered last time."""

    place: Place
    waiting: list[tuple[Question, "asyncio.Future[Reply]"]] = field(default_factory=list)
    calling: asyncio.Task[None] | None = None
    failed: bool = False

    @property
    def load(self) -> tuple[bool, int]:
        """The least is asked first."""
        return self.failed, len(self.waiting) + (self.calling is not None)


class Router:
    """`serve.search.protocol.Search` over shards. `start` before the first search, `stop` after the last.

    `layouts` tells which numbers of shards have actors at present. A layout other than `shards` is searched for as long
    as that one has not read everything.
    """

    def __init__(
        self,
        call: Call,
        shards: int,
        copies: int,
        partitions: int,
        cards: Sequence[ModelCard] = (),
        layouts: Callable[[], Awaitable[Sequence[int]]] | None = None,
        encoder: Callable[[bytes], Awaitable[Photograph]] | None = None,
    ) -> None:
        self._call, self._wanted, self._copies, self._partitions = call, shards, copies, partitions
        self._cards, self._layouts, self._encoder = tuple(cards), layouts, encoder
        self._calibrations = calibrations_of(cards)
        self.layout = shards
        self._of: dict[Place, _Copy] = {}
        self._turn = itertools.count()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Choose a layout, and go on looking where it is not the wanted one."""
        if self._layouts is not None:
            self._looking = asyncio.create_task(self._look(), name="search layout")

    async def stop(self) -> None:
        """Stop looking; calls under way are given up."""
        tasks = [task for one in self._of.values() if (task := one.calling) is not None]
        if self._looking is not None:
            tasks.append(self._looking)
        await ended(*tasks)

    async def _look(self) -> None:
        while not await self.choose():  # noqa: ASYNC110 - several actors, none of which tells
            await asyncio.sleep(LOOK_S)

    async def choose(self) -> bool:
        """Search the wanted layout if all of it has read everything, else one that has; whether it is the wanted."""
        if await self._complete(self._wanted):
            self.layout = self._wanted
            return True
        if self._layouts is not None:
            try:
                others = sorted(set(await self._layouts()) - {self._wanted})
            except BomnaeError:
                return False
            for layout in others:
                if await self._complete(layout):
                    self.layout = layout
                    break
        return False

    async def _complete(self, layout: int) -> bool:
        """Whether at least one copy of each shard has read everything."""

        async def one(place: Place) -> bool:
            try:
                async with asyncio.timeout(CALL_S):
                    return bool(await self._call(place.name, "ready"))
            except (BomnaeError, TimeoutError):
                return False

        places = [[Place(layout, number, copy) for copy in range(self._copies)] for number in range(layout)]
        told = await asyncio.gather(*(one(place) for copies in places for place in copies))
        return all(any(told[at : at + self._copies]) for at in range(0, len(told), self._copies))

    async def search(
        self, queries: Sequence[Query], filters: Filters, soft: Mapping[str, str], limit: int, deadline_s: float
    ) -> Found:
        """See `Search`."""
        questions = [
            self._question(model, [one.vector for one in queries if one.model == model], filters, soft, limit)
            for model in dict.fromkeys(one.model for one in queries)
        ]
        numbers = self._asked(filters.cameras)
        until = asyncio.get_running_loop().time() + deadline_s
        told = await asyncio.gather(
            *(self._of_shard(self.layout, number, questions, until) for number in numbers), return_exceptions=True
        )
        for one in told:
            if isinstance(one, InvalidError) or (isinstance(one, BaseException) and not isinstance(one, _AWAY)):
                raise one
        answered = [one for one in told if not isinstance(one, BaseException)]
        if numbers and not answered:
            raise UnavailableError("no shard of the search answers", retry_after_s=2)
        known = {card.id for card in self._cards}
        # Only when every shard has said so: a shard that was not asked or did not answer may know the model.
        for at, question in enumerate(questions if len(answered) == self.layout else ()):
            if question.model not in known and not any(replies[at].rested.known for replies in answered):
                raise InvalidError(f"no sightings of a model {question.model!r} are known")
        return Found(
            self._merged(
                [(question.model, replies[at]) for replies in answered for at, question in enumerate(questions)], limit
            ),
            _coverage(len(numbers), answered),
        )

    async def check(self, queries: Sequence[Query], deadline_s: float) -> None:
        """See `Search`."""
        await self.search(queries, Filters(_NEVER), {}, 1, deadline_s)

    def _question(
        self, model: str, vectors: Sequence[Any], filters: Filters, soft: Mapping[str, str], limit: int
    ) -> Question:
        if len({len(one) for one in vectors}) > 1:
            raise InvalidError(f"the vectors of {model} have different dimensions")
        dimensions = next((card.dimensions for card in self._cards if card.id == model), None)
        if dimensions is not None and dimensions != len(vectors[0]):
            raise InvalidError(f"a vector of {model} has {dimensions} dimensions, not {len(vectors[0])}")
        per_nat = per_nat_of(self._calibrations.get(model))
        return Question(model, np.stack(vectors).astype(np.float32), filters, dict(soft), limit, per_nat)

    def _asked(self, cameras: frozenset[str] | None) -> list[int]:
        if cameras is None:
            return list(range(self.layout))
        return sorted({partition(camera, self._partitions) % self.layout for camera in cameras})

    async def _of_shard(self, layout: int, number: int, questions: Sequence[Question], until: float) -> list[Reply]:
        """From the copy with the least to do; another one's turn where it fails."""
        copies = [self._copy(Place(layout, number, copy)) for copy in range(self._copies)]
        turn = next(self._turn)
        copies.sort(key=lambda one: (*one.load, (one.place.copy + turn) % self._copies))
        async with asyncio.timeout_at(until):
            for left, copy in enumerate(copies, 1 - len(copies)):
                try:
                    return await self._ask(copy, questions)
                except UnavailableError:
                    if left == 0:
                        raise
        raise UnavailableError("a shard without copies")

    def _copy(self, place: Place) -> _Copy:
        return self._of.setdefault(place, _Copy(place))

    async def _ask(self, copy: _Copy, questions: Sequence[Question]) -> list[Reply]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in questions]
        copy.waiting += zip(questions, futures, strict=True)
        if copy.calling is None:
            copy.calling = asyncio.create_task(self._drain(copy), name=copy.place.name)
        return list(await asyncio.gather(*futures))

    async def _drain(self, copy: _Copy) -> None:
        """While one call is under way, what comes meanwhile waits and travels with the next."""
        try:
            while copy.waiting:
                sent, copy.waiting = [one for one in copy.waiting if not one[1].done()], []
                await self._send(copy, sent)
        finally:
            copy.calling = None

    async def _send(self, copy: _Copy, sent: Sequence[tuple[Question, "asyncio.Future[Reply]"]]) -> None:
        if not sent:
            return
        try:
            async with asyncio.timeout(CALL_S):
                replies: Replies = await self._call(copy.place.name, "search", [question for question, _ in sent])
            copy.failed = False
        except (BomnaeError, TimeoutError) as error:
            copy.failed = True
            why = str(error) or "it did not answer in time"
            replies = [UnavailableError(f"{copy.place.name}: {why}", retry_after_s=2)] * len(sent)
        for (_, future), reply in zip(sent, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, BomnaeError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def _merged(self, replies: Sequence[tuple[str, Reply]], limit: int) -> tuple[Candidate, ...]:
        found = [self._candidate(model, one) for model, reply in replies for one in reply.found]
        ordered = interleaved(
            found,
            lambda one: one.model if one.probability is None else None,
            lambda one: (-(one.probability or 0.0), -one.score, one.id),
        )
        once = {one.id: one for one in reversed(ordered)}
        return tuple(one for one in ordered if once[one.id] is one)[:limit]

    def _candidate(self, model: str, one: index_search.Candidate) -> Candidate:
        known = self._calibrations.get(model)
        return Candidate(
            sighting=one.sighting_id,
            camera=one.camera,
            time=from_micros(one.time),
            model=model,
            score=one.score,
            probability=None if known is None else float(probability(known, one.score)),
        )

    async def _row(self, candidate: Candidate) -> dict[str, Any] | None:
        number = partition(candidate.camera, self._partitions) % self.layout
        error = UnavailableError("the shard of this sighting does not answer", retry_after_s=2)
        for copy in range(self._copies):
            try:
                async with asyncio.timeout(CALL_S):
                    time = micros(candidate.time)
                    name = Place(self.layout, number, copy).name
                    row: dict[str, Any] | None = await self._call(
                        name, "row_of", candidate.sighting, candidate.camera, time
                    )
                    return row
            except (UnavailableError, TimeoutError):
                continue
        raise error

    async def embedding_of(self, candidate: Candidate) -> Query:
        """See `Search`."""
        if (row := await self._row(candidate)) is None:
            raise GoneError(f"the sighting {candidate.id} has expired or is erased")
        return Query(row["model"], np.asarray(row["embedding"], np.float32))

    async def picture(self, candidate: Candidate) -> bytes | None:
        """See `Search`."""
        row = await self._row(candidate)
        return None if row is None else row["picture"]

    async def encode(self, photo: bytes) -> Photograph:
        """See `Search`."""
        if self._encoder is None:
            raise UnavailableError("no encoder runs here: search with an embedding", retry_after_s=60)
        return await self._encoder(photo)

    async def models(self) -> Sequence[ModelCard]:
        """See `Search`."""
        return self._cards


_AWAY = UnavailableError, TimeoutError


def _coverage(asked: int, answered: Sequence[Sequence[Reply]]) -> Coverage:
    # Cameras are the same for every model of a shard, and none is in two shards.
    firsts = [replies[0].rested for replies in answered if replies]
    every = [reply.rested for replies in answered for reply in replies]
    recalls = [one.recall for one in every if one.recall is not None]
    lost = sum(max(reply.rested.missing_us for reply in replies) for replies in answered if replies)
    return Coverage(
        shards=asked,
        shards_answered=len(answered),
        rows_permitted=sum(one.permitted for one in every),
        rows_scanned=sum(one.scanned for one in every),
        cameras=sum(one.cameras for one in firsts),
        cameras_silent=tuple(sorted({name for one in firsts for name in one.silent})),
        hours_missing=lost / _HOUR_US,
        exact=all(one.exact for one in every),
        recall=min(recalls, default=None),
    )
