"""A search shard as a Ray actor: reachable by name, restarted by Ray, rebuilt from files, log and blocks."""

import asyncio
import shutil
from collections.abc import Sequence
from typing import Any

import faiss
import ray

from actors.directory import find, placement
from actors.exporting import RayMeters
from actors.host import CONTEXTS, Request, wall_clock
from schemas.base import Command
from schemas.errors import BomnaeError, UnavailableError
from schemas.settings import Settings
from schemas.sighting import SegmentErased
from serve.pictures.cards import calibrations
from serve.search.asking import Question, Replies
from serve.search.host import METRICS, SearchHost
from serve.search.place import Place
from streams import logs
from streams.subjects import partition

_SUBMIT_S = 10.0
_CALL_S = 10.0


class Calls:
    """Calls of named actors of a namespace. A name is looked up again after each failure."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._found: dict[str, Any] = {}

    async def __call__(self, name: str, method: str, *arguments: Any) -> Any:
        """What a method answers. Raises what it raises, or `UnavailableError` where the actor cannot be reached."""
        if name not in self._found:
            self._found[name] = await asyncio.to_thread(find, name, self._namespace)
        try:
            return await getattr(self._found[name], method).remote(*arguments)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BomnaeError):
                raise error.cause from None
            raise UnavailableError(f"{name} failed: {error.cause!r}", retry_after_s=2) from error
        except ray.exceptions.RayError as error:
            self._found.pop(name, None)
            raise UnavailableError(f"{name} does not answer", retry_after_s=2) from error

    async def running(self) -> list[Place]:
        """The search shards that have an actor."""
        listed: list[Any] = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
        found = [Place.of(one["name"]) for one in listed if one["namespace"] == self._namespace]
        return [one for one in found if one is not None]

    async def layouts(self) -> list[int]:
        """The numbers of shards of those."""
        return sorted({one.shards for one in await self.running()})


class SearchActor:
    """Wraps a `SearchHost`. Each call carries many questions."""

    def __init__(self, settings: Settings, place: Place) -> None:
        logs.configure(settings.log_level)
        faiss.omp_set_num_threads(1)  # a shard is a core's work; threads that wait for each other spin
        self._settings, self._place = settings, place
        hosts = placement({name: settings.shards(name) for name in CONTEXTS}, settings.shard_hosts)
        self._host_of = {key: name for name, keys in hosts.items() for key in keys}
        self._calls = Calls(settings.ray_namespace)
        meters = RayMeters(METRICS)
        self._host = SearchHost(settings, place, self._submit, self._others, meters, calibrations(settings))
        self._started = asyncio.ensure_future(self._host.start())

    async def ready(self) -> bool:
        """Whether everything that was in the logs at the start has been read. Raises what kept it from starting."""
        if self._started.done():
            await self._started
        return self._host.ready

    async def search(self, questions: Sequence[Question]) -> Replies:
        """See `SearchShard.search`."""
        return await self._host.search(questions)

    async def row_of(self, sighting: str, camera: str, moment: int) -> dict[str, Any] | None:
        """See `SearchShard.row_of`."""
        return await self._host.row_of(sighting, camera, moment)

    async def receipts(self, number: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        """See `SearchShard.receipts`."""
        return self._host.receipts(number, sequence, camera, erasure)

    async def _submit(self, commands: Sequence[Command]) -> list[BomnaeError | None]:
        """Each by the host of its shard's owner. Without keys: these commands change nothing when they come again."""
        answers: list[BomnaeError | None] = []
        for command in commands:
            key = command.context, partition(command.entity, self._settings.shards(command.context))
            try:
                async with asyncio.timeout(_SUBMIT_S):
                    asked = [Request(key, command, "", "", wall_clock())]
                    (entry,) = await self._calls(self._host_of[key], "submit", asked)
            except TimeoutError:
                entry = UnavailableError(f"the owner of {key[0]} {key[1]} did not answer")
            answers.append(entry if isinstance(entry, BomnaeError) else None)
        return answers

    async def _others(self, number: int, sequence: int, camera: str, erasure: str) -> list[SegmentErased]:
        """Of the copies that there should be, and of every other actor that has these sightings."""
        shards = self._place.shards
        wanted = {Place(shards, number % shards, copy) for copy in range(self._settings.search_copies)}
        places = {*wanted, *(one for one in await self._calls.running() if one.has(number))} - {self._place}
        found: list[SegmentErased] = []
        for place in sorted(places, key=lambda one: one.name):
            async with asyncio.timeout(_CALL_S):
                found += await self._calls(place.name, "receipts", number, sequence, camera, erasure)
        return found

    async def clean(self, keep: Sequence[str]) -> None:
        """Remove the folders of search shards on this node that are not among these names."""
        home = self._settings.data.absolute() / "search"
        for folder in await asyncio.to_thread(lambda: list(home.iterdir())):
            if Place.of(folder.name) is not None and folder.name not in keep:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def stop(self) -> None:
        """Stop following; the actor stays until it is killed."""
        await self._host.stop()
