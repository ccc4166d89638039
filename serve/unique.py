"""Ids that are unique in the city, while a shard knows its own alone: looked up in what all shards have published."""

from collections.abc import Collection

import polars as pl
from fastapi import Request

from schemas.errors import ConflictError, NotFoundError
from serve.backend import Backend, View
from serve.reading import frame


def refuse_taken(request: Request, context: str, table: str, kind: str, ids: Collection[str], owner: str) -> None:
    """Raise `ConflictError` where an id of this kind is another entity's and not `owner`'s already.

    A shard refuses what it knows itself; of two requests that reach different shards before either has published
    (some tenths of a second) both pass. Then lists show both, and whoever acts on one has to say whose: `owner_of`.
    """
    backend: Backend = request.app.state.backend
    rows = frame(request, backend.view(context), table).filter(pl.col(kind).is_in(list(ids)))
    own = rows.filter(pl.col(context) == owner)[kind]
    taken = rows.filter(~pl.col(kind).is_in(own.to_list()))
    if len(taken):
        found, other = taken.select(kind, context).row(0)
        raise ConflictError(f"{kind} {found!r} belongs to {context} {other!r}: choose another id")


def owner_of(request: Request, view: View, table: str, kind: str, found: str, named: str | None) -> str:
    """The entity that has this id, or the one `named` if it has it.

    Raises `NotFoundError`, or `ConflictError` where several have it and none is named.
    """
    owners = sorted(frame(request, view, table).filter(pl.col(kind) == found)[view.context].to_list())
    if named is not None:
        owners = [owner for owner in owners if owner == named]
    if not owners:
        raise NotFoundError(kind if named is None else f"{kind} of {view.context} {named!r}", found)
    if len(owners) > 1:
        two = f"{kind} {found!r} is there at {' and '.join(map(repr, owners))}"
        raise ConflictError(f"{two}: say which with the parameter `{view.context}`")
    return str(owners[0])
