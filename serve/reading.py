"""What every read of state shares: which view it is of (now, after a write, or at a past moment), and its answer."""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import polars as pl
from fastapi import Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from schemas.base import Frozen, UtcTime
from schemas.tables import PUBLISHED
from serve import paging, positions, render
from serve.backend import Backend, View

T = TypeVar("T")
WAIT_S = 2.0
"""Longest wait for `min_position`, from the API's contract."""


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not re.match(r"\d{4}-\d\d-\d\dT", value):
        raise ValueError("a time reads like 2026-01-15T12:00:00+09:00")
    # An unescaped `+` of the zone arrives as a space.
    return re.sub(r" (\d\d:?\d\d)$", r"+\1", value)


QueryTime = Annotated[UtcTime, BeforeValidator(_rfc3339)]
"""A time in a query: RFC 3339 with its zone; pydantic alone would take `0.5` for a time, too."""
MinPosition = Annotated[
    str | None,
    Query(
        max_length=positions.LONGEST,
        description="Wait (at most 2 s, then 503) until the state holds this write's position.",
    ),
]


class Moment(Frozen):
    """Of which moment a read is. Unknown parameters are refused: a misspelt filter must not show everything."""

    as_of: Annotated[
        QueryTime | None,
        Query(description="State at this moment (RFC 3339 with zone); 410 before the oldest snapshot."),
    ] = None
    min_position: MinPosition = None


class Page(Moment):
    """A read of a list. Fields that subclasses add are filters: equal to the column of that name, None means any."""

    limit: Annotated[int | None, Query(ge=1, le=1000, description="Most items in this answer.")] = 100
    cursor: paging.Cursor = None

    def filters(self) -> dict[str, Any]:
        """What the list is filtered by."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in _PAGING}


class Whole(Page):
    """A read of a list that comes whole unless `limit` is given."""

    limit: Annotated[int | None, Query(ge=1, le=1000, description="Most items in this answer; all without it.")] = None


_PAGING = frozenset(Page.model_fields)


async def view_of(request: Request, context: str, moment: Moment, entity: str | None = None) -> View:
    """The view that a read is of. Raises what `Backend.view_at` and `Backend.wait_for` raise."""
    backend: Backend = request.app.state.backend
    if moment.as_of is not None:
        return await backend.view_at(context, moment.as_of, entity)
    return await view_after(request, context, moment.min_position)


async def view_after(request: Request, context: str, min_position: str | None) -> View:
    """The newest view, which holds the write at `min_position`. Raises what `Backend.wait_for` raises."""
    backend: Backend = request.app.state.backend
    if min_position is not None:
        await backend.wait_for(positions.decode(min_position, backend.shards), WAIT_S)
    return backend.view(context)


def frame(request: Request, view: View, table: str) -> pl.DataFrame:
    """A table of the view as a frame; do not change it."""
    renderer: render.Renderer = request.app.state.renderer
    return renderer.frame(view, table)


def derived(request: Request, view: View, key: Hashable, make: Callable[[], T]) -> T:
    """See `Renderer.derived`."""
    renderer: render.Renderer = request.app.state.renderer
    return renderer.derived(view, key, make)


async def answer(request: Request, view: View, key: tuple[object, ...], produce: Callable[[], bytes]) -> Response:
    """The JSON that `produce` renders, remembered by route, `key` and the view's version."""
    renderer: render.Renderer = request.app.state.renderer
    whole = (request.scope["route"].path_format, *key)
    return await renderer.answer(request, view, whole, render.Job(produce))


Filters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """How a table is listed.

    Sorted by the columns `by` (of `types`, the last makes a row unique); columns `hidden` are for staff alone.
    `prepare` gets the rows that match the filters, and the filters; columns that it adds begin with `_` and are not
    shown. `page` renders rows and cursor as `media_type`. Listings of one route for an `audience` each are remembered
    apart.
    """

    table: str
    by: tuple[str, ...]
    types: tuple[type[paging.Scalar], ...] = (str,)
    hidden: Sequence[str] = ()
    prepare: Callable[[pl.DataFrame, Filters], pl.DataFrame] = lambda rows, _: rows
    page: Callable[[pl.DataFrame, str | None], bytes] = render.json_page
    media_type: str = render.JSON
    audience: str = ""

    async def answer(self, request: Request, view: View, query: Page) -> Response:
        """One page as JSON, or as Arrow with the next cursor in its schema's metadata (`next`)."""
        staff = request.state.principal.staff or not self.hidden
        as_arrow = render.wants_arrow(request)
        filters, after = query.filters(), paging.decode(query.cursor, *self.types)

        def produce() -> bytes:
            rows = self._select(frame(request, view, self.table), filters, after)
            following = None
            if query.limit is not None and len(rows) > query.limit:
                rows = rows.head(query.limit)
                following = paging.encode(rows.select(self.by).row(-1))
            unseen = () if staff else self.hidden
            rows = rows.select(name for name in rows.columns if name[0] != "_" and name not in unseen)
            if as_arrow:
                return render.arrow(rows, PUBLISHED[view.context][self.table], following)
            return self.page(rows, following)

        renderer: render.Renderer = request.app.state.renderer
        key = (request.scope["route"].path_format, self.audience, staff, query.limit, after, *filters.values())
        job = render.Job(produce, render.ARROW if as_arrow else self.media_type, view.tables[self.table].num_rows)
        return await renderer.answer(request, view, key, job)

    def _select(self, rows: pl.DataFrame, filters: Filters, after: tuple[Any, ...] | None) -> pl.DataFrame:
        wanted = [
            pl.col(name) == value for name, value in filters.items() if value is not None and name in rows.columns
        ]
        rows = self.prepare(rows.filter(wanted) if wanted else rows, filters).sort(self.by)
        return rows if after is None else rows.filter(_behind(self.by, after))


def _behind(by: tuple[str, ...], after: tuple[Any, ...]) -> pl.Expr:
    further: pl.Expr = pl.col(by[0]) > after[0]
    if len(by) == 1:
        return further
    same: pl.Expr = pl.col(by[0]) == after[0]
    return further | (same & _behind(by[1:], after[1:]))
