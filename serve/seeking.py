"""Who a search or a watch looks for, in the terms of models, and at which cameras."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import polars as pl
import shapely
from fastapi import Request

from schemas import casework
from schemas.area import Area, Circle
from schemas.base import from_micros, micros
from schemas.errors import InvalidError, NotFoundError, UnavailableError
from schemas.person import Candidate
from serve.backend import Backend, View
from serve.reading import derived, frame
from serve.search.journey import distance_m
from serve.search.protocol import Encoded, Query
from serve.search.queries import Sought, digest_of, name_of

T = TypeVar("T")

_PLACE = ("name_ko", "name_en", "lon", "lat")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is sought. `persons` counts those seen on each photograph, of whom the best seen is sought."""

    sought: Sought
    persons: tuple[int, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the queries, each once."""
        return tuple(dict.fromkeys(query.model for query in self.sought.queries))


async def person_of(request: Request, view: View, case: str, body: casework.Sought) -> Person:
    """The queries of a request.

    Raises `InvalidError` for a photograph that cannot be read or shows nobody, `NotFoundError` for a candidate that the
    case does not have.
    """
    backend: Backend = request.app.state.backend
    if body.embedding is not None and body.model is not None:
        with np.errstate(over="ignore"):
            vector = np.asarray(body.embedding, np.float32)
        if not np.isfinite(vector).all() or not vector.any():
            raise InvalidError("the embedding does not fit into 32-bit floats")
        return Person(Sought((Query(body.model, vector),), body.attributes))
    if body.like is not None:
        found = await backend.search.embedding_of(candidate_of(request, view, case, body.like))
        return Person(Sought((found,), body.attributes))
    kept, queries, persons = list[bytes](), list[Query](), list[int]()
    for number, photo in enumerate(body.photos or (), 1):
        taken = await backend.search.encode(photo)
        if not (encoded := taken.people):
            raise InvalidError(f"nobody can be seen on photograph {number}")
        kept.append(taken.picture)
        queries += (one.query for one in one_person(encoded))
        models = {one.query.model for one in encoded}
        persons.append(max(sum(one.query.model == model for one in encoded) for model in models))
    return Person(Sought(tuple(queries), body.attributes, tuple(kept)), tuple(persons))


def one_person(people: Sequence[Encoded]) -> list[Encoded]:
    """Of everybody on a photograph, best first, the best seen, and what other models see of that very person.

    A face belongs to a body in whose upper half it has its middle; where it lies in several, to the body whose head
    it stands nearest to. A face without a body, or a body without a face, is sought alone.
    """
    first, *others = people
    found = {first.query.model: first}
    for one in others:
        if one.query.model not in found and _same(first, one, people):
            found[one.query.model] = one
    return list(found.values())


def _same(one: Encoded, other: Encoded, people: Sequence[Encoded]) -> bool:
    if one.face == other.face:
        return False
    face, body = (one, other) if one.face else (other, one)
    bodies = [seen for seen in people if not seen.face]
    return min(bodies, key=lambda seen: _from_head(face, seen)) is body and _from_head(face, body) < np.inf


def _from_head(face: Encoded, body: Encoded) -> float:
    """How far a face stands from where a body's head is expected, in widths of the body; infinite outside of it."""
    if face.box is None or body.box is None:
        return np.inf
    (left, top, width, height), (x, y, wide, tall) = face.box, body.box
    across, down = left + width / 2 - x, top + height / 2 - y
    if not (0 <= across <= wide and 0 <= down <= tall / 2):
        return np.inf
    return float(np.hypot(across - wide / 2, down - tall / 8)) / wide


def candidate_of(request: Request, view: View, case: str, candidate: str) -> Candidate:
    """A candidate of a case. Raises `NotFoundError`."""
    rows = frame(request, view, "candidates").filter((pl.col("case") == case) & (pl.col("candidate") == candidate))
    if rows.is_empty():
        raise NotFoundError("candidate of this case", candidate)
    row = rows.row(0, named=True)
    return Candidate.model_validate({name: row[name] for name in Candidate.model_fields})


async def keep(request: Request, case: str, sought: Sought) -> str:
    """Store the query as an erasable object of the case; its digest."""
    backend: Backend = request.app.state.backend
    data = sought.to_bytes()
    await backend.put_object(name_of(case, digest_of(data)), data)
    return digest_of(data)


async def keep_meanwhile(request: Request, case: str, sought: Sought, asking: Awaitable[T]) -> tuple[T, str]:
    """Store the query of a search while the shards are asked: what they answer, and its digest, which no other has.

    Raises what either raises; of a search that fails nothing stays.
    """
    salted = replace(sought, salt=secrets.token_hex(16))
    answer, digest = await asyncio.gather(asking, keep(request, case, salted), return_exceptions=True)
    if isinstance(answer, BaseException):
        if isinstance(digest, str):
            await forget(request, case, digest)
        raise answer
    if isinstance(digest, BaseException):
        raise digest
    return answer, digest


async def forget(request: Request, case: str, digest: str) -> None:
    """Delete a query that no event names. Where the store is away it lies there until the case ends."""
    backend: Backend = request.app.state.backend
    with contextlib.suppress(UnavailableError):
        await backend.delete_object(name_of(case, digest))


def cameras_of(request: Request, view: View, body: casework.Sought) -> frozenset[str] | None:
    """The cameras that are asked, None for all.

    Raises `InvalidError` where one is not known, or none lies in the areas.
    """
    if not body.areas and not body.cameras:
        return None
    table = frame(request, view, "cameras").select("camera", "lon", "lat", "area")
    asked = frozenset(body.cameras or table["camera"])
    if unknown := asked - set(table["camera"]):
        raise InvalidError(f"there is no camera {min(unknown)!r}")
    if body.areas:
        rows = table.filter(pl.col("camera").is_in(list(asked))).to_dicts()
        asked = frozenset(row["camera"] for row in rows if any(_lies_in(row, area) for area in body.areas))
    if not asked:
        raise InvalidError("none of the cameras lies in the areas")
    return asked


def _lies_in(camera: dict[str, Any], area: Area) -> bool:
    if isinstance(area, str):
        return bool(camera["area"] == area)
    place = camera["lon"], camera["lat"]
    if isinstance(area, Circle):
        return distance_m((area.lon, area.lat), place) <= area.radius_m
    shell, *holes = area.coordinates
    shape = shapely.make_valid(shapely.Polygon(shell, holes))
    return bool(shape.intersects(shapely.Point(place)))


def places(request: Request, view: View, cameras: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Names and places of cameras by id, without those that are not known (any more)."""
    known = derived(request, view, "places", lambda: _places(frame(request, view, "cameras")))
    return {camera: dict(zip(_PLACE, known[camera], strict=True)) for camera in set(cameras) & known.keys()}


def _places(cameras: pl.DataFrame) -> dict[str, tuple[Any, ...]]:
    return dict(zip(cameras["camera"].to_list(), cameras.select(_PLACE).iter_rows(), strict=True))


def micro_time(value: Any) -> Any:
    """A time of a frame (any zone object) as plain UTC."""
    return from_micros(micros(value))
