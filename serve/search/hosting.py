"""Brings the search shards up on Ray, and ends those of an older layout once all replicas search the new one."""

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from actors.supervisor import ensure_actor
from schemas.settings import Settings
from serve.search.actor import SearchActor
from serve.search.layouts import GRACE_S
from serve.search.place import Place

_STOP_S = 10.0
_LOOK_S = 5.0


def places(settings: Settings) -> list[Place]:
    """What shall run."""
    shards, copies = settings.search_shards, settings.search_copies
    return [Place(shards, number, copy) for number in range(shards) for copy in range(copies)]


def ensure_search(settings: Settings) -> list[Any]:
    """The actors of all search shards, started where they are missing; safe to repeat and from several drivers."""
    return _started(settings, places(settings))


def resume(settings: Settings) -> list[Any]:
    """The actors of layouts that this machine's disk still holds, beside the wanted one; started where missing.

    They have read nearly everything, so they answer while the wanted ones begin; `Retirement` ends them. On a cluster
    the old actors outlive the change themselves.
    """
    return _started(settings, kept(settings.data.absolute() / "search", settings.search_shards))


def kept(home: Path, wanted: int) -> list[Place]:
    """One place for each shard of the layouts other than the wanted one whose folders are all there."""
    found = [place for folder in home.glob("search-*") if (place := Place.of(folder.name)) is not None]
    layouts: dict[int, dict[int, Place]] = {}
    for place in sorted(found, key=lambda one: one.copy, reverse=True):
        layouts.setdefault(place.shards, {})[place.number] = place
    whole = [numbers for shards, numbers in layouts.items() if shards != wanted and len(numbers) == shards]
    return [numbers[number] for numbers in whole for number in sorted(numbers)]


def _started(settings: Settings, wanted: Sequence[Place]) -> list[Any]:
    return [ensure_actor(settings, SearchActor, place.name, settings, place) for place in wanted]


class Lasting:
    """Whether something has held for so long without a break, by the moments at which it is told (in seconds)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def told(self, holds: bool, now: float) -> bool:
        """Tell it whether it holds now."""
        self._since = (now if self._since is None else self._since) if holds else None
        return self._since is not None and now - self._since >= self._seconds


class Retirement:
    """Ends the shards of other layouts, and removes their files; look again and again, some time apart."""

    def __init__(self, settings: Settings, grace_s: float = GRACE_S) -> None:
        self._settings, self._complete = settings, Lasting(grace_s)
        self._wanted = {place.name for place in places(settings)}

    def look(self) -> bool:
        """Whether nothing of another layout is left.

        Those stay until all that shall run have had everything for `grace_s`: replicas go over in that time.
        """
        others, settings = _running(self._settings) - self._wanted, self._settings
        try:
            actors = [ray.get_actor(name, settings.ray_namespace) for name in self._wanted]
            ready = all(ray.get([actor.ready.remote() for actor in actors], timeout=_STOP_S))
        except (ValueError, ray.exceptions.RayError):
            ready = False
        settled = self._complete.told(ready, time.monotonic())
        if not ready or (others and not settled):
            return False
        for name in others:
            _stop(name, settings)
        ray.get([actor.clean.remote(sorted(self._wanted)) for actor in actors], timeout=_STOP_S)
        return True


def retire_in_time(settings: Settings) -> None:
    """Retire other layouts once it is possible, in a thread of its own."""
    retirement = Retirement(settings)

    def waiting() -> None:
        while ray.is_initialized() and not retirement.look():
            time.sleep(_LOOK_S)

    threading.Thread(target=waiting, name="retire search shards", daemon=True).start()


def stop_search(settings: Settings) -> None:
    """End all search shards of this namespace; their files stay."""
    for name in _running(settings):
        _stop(name, settings)


def _running(settings: Settings) -> set[str]:
    listed: list[Any] = ray.util.list_named_actors(all_namespaces=True)
    return {
        one["name"]
        for one in listed
        if one["namespace"] == settings.ray_namespace and Place.of(one["name"]) is not None
    }


def _stop(name: str, settings: Settings) -> None:
    with contextlib.suppress(ValueError, ray.exceptions.RayError):
        actor = ray.get_actor(name, settings.ray_namespace)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(actor.stop.remote(), timeout=_STOP_S)
        ray.kill(actor)
