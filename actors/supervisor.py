"""Brings the shard hosts up on Ray and tells whether they are well."""

from typing import Any

import ray

from actors.actor import ShardActor
from actors.archiving.actor import NAME as ARCHIVE
from actors.archiving.actor import ArchiveActor
from actors.directory import placement
from actors.host import CONTEXTS, HostConfig
from schemas.settings import Settings


def host_configs(settings: Settings) -> dict[str, HostConfig]:
    """What each named host is to do."""
    shards = {context: settings.shards(context) for context in CONTEXTS}
    return {name: HostConfig(settings, keys) for name, keys in placement(shards, settings.shard_hosts).items()}


def ensure_hosts(settings: Settings) -> list[Any]:
    """The actors of all hosts, started where they are missing; safe to repeat and from several drivers at once.

    Ray restarts a dead one, on another node if need be; the log's fence keeps a copy that still lives from writing.
    """
    return [ensure_actor(settings, ShardActor, name, config, name) for name, config in host_configs(settings).items()]


def ensure_archive(settings: Settings) -> Any:
    """The archive's writer, started where it is missing; safe to repeat. Two for a moment are harmless."""
    return ensure_actor(settings, ArchiveActor, ARCHIVE, settings)


def ensure_actor(settings: Settings, kind: type[Any], name: str, *arguments: Any) -> Any:
    """The actor of a name, started with these arguments where there is none; it outlives its driver and its deaths."""
    # The wrapped class stays importable as it is; Ray's options are in one place.
    return (
        ray.remote(kind)
        .options(
            name=name,
            namespace=settings.ray_namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=1000,
            num_cpus=0.1,
            scheduling_strategy="SPREAD",
        )
        .remote(*arguments)
    )


def stop_hosts(settings: Settings) -> None:
    """End all hosts of this namespace, and the archive's writer; what they committed stays in the log."""
    hosts = placement({context: settings.shards(context) for context in CONTEXTS}, settings.shard_hosts)
    for name in [*hosts, ARCHIVE]:
        stop_actor(settings, name)


def stop_actor(settings: Settings, name: str) -> None:
    """Have the actor of a name stop, and end it; nothing where there is none."""
    try:
        actor = ray.get_actor(name, settings.ray_namespace)
    except ValueError:
        return
    ray.get(actor.stop.remote(), timeout=20)
    ray.kill(actor)
