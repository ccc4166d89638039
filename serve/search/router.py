"""The search as one replica of the API sees it: asks every shard, merges what comes in time, and says what did not.

A plain class; `call` reaches the shards.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from actors.host import wall_clock
from schemas.base import from_micros, micros
from schemas.errors import GoneError, InvalidError, UnavailableError
from schemas.models import ModelCard
from schemas.person import Candidate
from schemas.road import Window
from serve.search import index_search
from serve.search.asking import Question, Reply
from serve.search.calibration import calibrations_of, probability
from serve.search.copies import CALL_S, Call, Copies
from serve.search.covering import Away, covered, lag_of
from serve.search.layouts import Layouts
from serve.search.place import Place
from serve.search.protocol import Filters, Found, Photograph, Query
from serve.search.ranking import interleaved
from serve.search.soft import per_nat_of
from streams.subjects import partition

_NEVER = Window(start=from_micros(0), end=from_micros(1))


class Router:
    """`serve.search.protocol.Search` over shards. `start` before the first search, `stop` after the last.

    `layouts` tells which numbers of shards have actors at present. A layout other than `shards` is searched for as long
    as that one has not read everything. `cameras` are all that the city knows, for what a shard that is away would have
    had; `clock` gives µs UTC.
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
        cameras: Callable[[], Iterable[str]] = tuple,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._call, self._each, self._partitions = call, copies, partitions
        self._cards, self._encoder = tuple(cards), encoder
        self._cameras, self._clock = cameras, clock
        self._calibrations = calibrations_of(cards)
        self._copies = Copies(call, copies)
        self.layouts = Layouts(call, shards, copies, layouts)

    async def start(self) -> None:
        """Choose a layout, and go on looking where it is not the wanted one."""
        await self.layouts.start()

    async def stop(self) -> None:
        """Stop looking; calls under way are given up."""
        await self.layouts.stop()
        await self._copies.stop()

    async def search(
        self, queries: Sequence[Query], filters: Filters, soft: Mapping[str, str], limit: int, deadline_s: float
    ) -> Found:
        """See `Search`."""
        questions = [
            self._question(model, [one.vector for one in queries if one.model == model], filters, soft, limit)
            for model in dict.fromkeys(one.model for one in queries)
        ]
        until = asyncio.get_running_loop().time() + deadline_s
        layout = self.layouts.current
        told = await self._all(layout, questions, filters.cameras, until)
        away = sum(isinstance(one, BaseException) for one in told.values())
        # A layout that another has replaced may be gone; of the wanted one the rest is an answer.
        if away and (away == len(told) or layout != self.layouts.wanted) and await self.layouts.another(layout, until):
            layout = self.layouts.current
            told = await self._all(layout, questions, filters.cameras, until)
        answered = [one for one in told.values() if not isinstance(one, BaseException)]
        if told and not answered:
            raise UnavailableError("no shard of the search answers", retry_after_s=2)
        known = {card.id for card in self._cards}
        # Only when every shard has said so: a shard that was not asked or did not answer may know the model.
        for at, question in enumerate(questions if len(answered) == layout else ()):
            if question.model not in known and not any(replies[at].rested.known for replies in answered):
                raise InvalidError(f"no sightings of a model {question.model!r} are known")
        return Found(
            self._merged(
                [(question.model, replies[at]) for replies in answered for at, question in enumerate(questions)], limit
            ),
            covered(answered, self._away(layout, told, filters.cameras), filters.window, self._clock()),
            lag_of(answered),
        )

    def _away(
        self, layout: int, told: Mapping[int, list[Reply] | BaseException], cameras: frozenset[str] | None
    ) -> Away:
        gone = {number for number, one in told.items() if isinstance(one, BaseException)}
        asked = (self._cameras() if cameras is None else cameras) if gone else ()
        lost = sum(partition(camera, self._partitions) % layout in gone for camera in asked)
        return Away(len(gone), lost)

    async def _all(
        self, layout: int, questions: Sequence[Question], cameras: frozenset[str] | None, until: float
    ) -> dict[int, list[Reply] | BaseException]:
        """What each shard of these cameras answers, or why it does not. Raises what a question is refused with."""
        numbers = set(range(layout))
        if cameras is not None:
            numbers = {partition(camera, self._partitions) % layout for camera in cameras}
        told = await asyncio.gather(
            *(self._copies.ask(layout, number, questions, until) for number in sorted(numbers)), return_exceptions=True
        )
        for one in told:
            if isinstance(one, InvalidError) or (isinstance(one, BaseException) and not isinstance(one, _AWAY)):
                raise one
        return dict(zip(sorted(numbers), told, strict=True))

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
        layout, until = self.layouts.current, asyncio.get_running_loop().time() + CALL_S
        try:
            return await self._row_in(layout, candidate)
        except UnavailableError:
            if not await self.layouts.another(layout, until):
                raise
        return await self._row_in(self.layouts.current, candidate)

    async def _row_in(self, layout: int, candidate: Candidate) -> dict[str, Any] | None:
        number = partition(candidate.camera, self._partitions) % layout
        for copy in range(self._each):
            try:
                async with asyncio.timeout(CALL_S / self._each):
                    time = micros(candidate.time)
                    name = Place(layout, number, copy).name
                    row: dict[str, Any] | None = await self._call(
                        name, "row_of", candidate.sighting, candidate.camera, time
                    )
                    return row
            except (UnavailableError, TimeoutError):
                continue
        raise UnavailableError("the shard of this sighting does not answer", retry_after_s=2)

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
