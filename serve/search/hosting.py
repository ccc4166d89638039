"""Brings the search shards up on Ray, and ends those of an older layout once the new ones have read everything."""

import contextlib
import threading
import time
from typing import Any

import ray

from schemas.settings import Settings
from serve.search.actor import SearchActor
from serve.search.place import Place

_STOP_S = 10.0
_LOOK_S = 5.0


def places(settings: Settings) -> list[Place]:
    """What shall run."""
    shards, copies = settings.search_shards, settings.search_copies
    return [Place(shards, number, copy) for number in range(shards) for copy in range(copies)]


def ensure_search(settings: Settings) -> list[Any]:
    """The actors of all search shards, started where they are missing; safe to repeat and from several drivers."""
    remote = ray.remote(SearchActor)
    return [
        remote.options(
            name=place.name,
            namespace=settings.ray_namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=1000,
            num_cpus=0.1,
            scheduling_strategy="SPREAD",
        ).remote(settings, place)
        for place in places(settings)
    ]


def retire(settings: Settings) -> bool:
    """End the shards of other layouts, and remove their files, if all that shall run have read everything.

    Whether they have. Routers look for the new layout every few seconds: call it again and again, some time apart.
    """
    wanted = {place.name for place in places(settings)}
    try:
        actors = [ray.get_actor(name, settings.ray_namespace) for name in wanted]
        if not all(ray.get([actor.ready.remote() for actor in actors], timeout=_STOP_S)):
            return False
    except (ValueError, ray.exceptions.RayError):
        return False
    for name in _running(settings) - wanted:
        _stop(name, settings)
    ray.get([actor.clean.remote(sorted(wanted)) for actor in actors], timeout=_STOP_S)
    return True


def retire_in_time(settings: Settings) -> None:
    """Retire once it is possible, in a thread of its own."""

    def waiting() -> None:
        while ray.is_initialized() and not retire(settings):
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
