"""Where the shards are: which named actor hosts which, and how to reach it."""

from typing import Any

import ray

from actors.host import ShardKey
from schemas.errors import UnavailableError


def placement(shards: dict[str, int], hosts: int) -> dict[str, tuple[ShardKey, ...]]:
    """Actor name → shards, spread evenly. Pure: every process computes the same from the same settings."""
    keys = [(context, number) for context, count in sorted(shards.items()) for number in range(count)]
    return {f"shards-{host}": tuple(keys[host::hosts]) for host in range(min(hosts, len(keys)))}


def find(name: str, namespace: str) -> Any:
    """The living actor of a name. Resolve anew after each failure: a restarted actor may have a new handle.

    Raises `UnavailableError` while there is none.
    """
    try:
        return ray.get_actor(name, namespace)
    except ValueError as error:
        raise UnavailableError(f"the actor {name} is not running", retry_after_s=2) from error
