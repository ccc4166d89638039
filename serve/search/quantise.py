"""From a vector to what is kept of it: half floats (the truth), int8 and sign bits (what scans read first)."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.errors import BomnaeError

HALF_STEP = 2.0**-11
"""Largest relative error of a normal half float: `‖x − half(x)‖ ≤ HALF_STEP·‖x‖` but for subnormal crumbs."""
SMALLEST_NORM = 1e-6
ROWS_AT_ONCE = 2048

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass
class BadQueryError(BomnaeError):
    """A query vector cannot be compared with anything; nothing was searched."""

    query: int
    reason: str

    def __str__(self) -> str:
        return f"query {self.query}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Model:
    """Which encoder made the vectors. Vectors of different models never meet: an index is bound to one."""

    name: str
    dimension: int

    @property
    def scale(self) -> float:
        """Codes per unit, the same for all segments: a component of a rotated unit vector beyond 6/√d is clipped."""
        return 127 * math.sqrt(self.dimension) / 6

    @property
    def bits(self) -> int:
        """Sign bits per vector: at least 512, because 256 lose people whose sightings differ much."""
        return -(-max(512, self.dimension) // 64) * 64


class Encoded(NamedTuple):
    """n vectors as they are kept. `codes` are int8 with 128 added, as faiss's `QT_8bit_direct_signed` keeps them."""

    half: npt.NDArray[np.float16]
    codes: Bytes
    bits: Bytes
    error: float
    """At most this far is any decoded int8 vector from its half floats, in L2."""


class Coded(NamedTuple):
    """n queries as scans of codes take them."""

    rotated: Floats
    """Rotated and divided by the scale: its products with codes are similarities."""
    whole: Floats
    """The same direction in whole numbers from -127 to 127: faiss cuts the fractions of a query for int8 codes off."""
    units: Floats
    """What one of `whole` times one of the codes is worth in similarity."""
    error: float
    """At most this far is any of the decoded `whole`, in L2."""


@dataclass(frozen=True)
class Queries:
    """n queries in the forms that scans and the last ranking need, each made when it is first asked for."""

    model: Model
    half: Floats
    """What is left of them in half floats, as single floats."""
    among: "tuple[Queries, slice] | None" = None
    """Those that they are a part of: what is known of them need not be computed again."""

    @cached_property
    def exact(self) -> npt.NDArray[np.float64]:
        """For `exact_scores`."""
        return self.half.astype(np.float64)

    @cached_property
    def coded(self) -> Coded:
        """For scans of int8 codes."""
        if self.among is not None:
            whole, part = self.among
            known = whole.coded
            return Coded(known.rotated[part], known.whole[part], known.units[part], known.error)
        return _coded(self.half, self.model)

    @cached_property
    def bits(self) -> Bytes:
        """Sign bits."""
        beyond = self.half @ projection(self.model)[:, self.model.dimension :]
        return _signs(np.concatenate([self.coded.rotated, beyond], axis=1))

    def only(self, number: int) -> "Queries":
        """One of them."""
        part = slice(number, number + 1)
        return self if len(self.half) == 1 else Queries(self.model, self.half[part], (self, part))


@lru_cache(maxsize=8)
def projection(model: Model) -> Floats:
    """`[d, bits]`: random orthogonal bases beside each other, the same on every machine for the same model.

    The first d columns are a rotation; it makes the components of any unit vector look alike, which the fixed scale and
    the signs rely on.
    """
    seed = int.from_bytes(hashlib.sha256(f"{model.name}/{model.dimension}".encode()).digest()[:8], "big")
    chance = np.random.default_rng(seed)
    bases = -(-model.bits // model.dimension)
    squares = chance.standard_normal((bases, model.dimension, model.dimension))
    return np.ascontiguousarray(np.concatenate(list(np.linalg.qr(squares)[0]), axis=1)[:, : model.bits], np.float32)


def unit(vectors: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Vectors of length one, and which rows are not finite, and which are zero; those rows are returned as zeros."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = vectors.astype(np.float32)
        squares = np.einsum("ij,ij->i", scaled, scaled)
        if not np.isfinite(squares).all():  # broken, or only too long for the squares of float32
            squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64, casting="safe")
    norms = np.sqrt(squares)
    endless = ~np.isfinite(norms)
    zero = norms < SMALLEST_NORM
    bad = endless | zero
    if bad.any():
        scaled[bad], norms[bad] = 0, 1
    scaled /= norms.astype(np.float32, copy=False)[:, None]
    return scaled, endless, zero


def _signs(rotated: Floats) -> Bytes:
    return np.packbits(rotated > 0, axis=1, bitorder="little")


def encode(vectors: Floats, model: Model) -> Encoded:
    """All forms of unit vectors `[n, d]`.

    The same row gives the same codes in any batch only up to rounding of BLAS; the half floats are the same always, and
    only they decide about scores.
    """
    rows, basis, scale = len(vectors), projection(model), model.scale
    codes, bits = np.empty((rows, model.dimension), np.uint8), np.empty((rows, model.bits // 8), np.uint8)
    worst = 0.0
    for at in range(0, rows, ROWS_AT_ONCE):
        rotated = vectors[at : at + ROWS_AT_ONCE] @ basis
        bits[at : at + ROWS_AT_ONCE] = _signs(rotated)
        part = rotated[:, : model.dimension] * np.float32(scale)
        rounded = np.clip(np.rint(part), -127, 127)
        np.add(rounded, 128, out=codes[at : at + ROWS_AT_ONCE], casting="unsafe")
        part -= rounded
        worst = max(worst, float(np.einsum("ij,ij->i", part, part).max(initial=0.0)))
    # The last term covers rounding in float32 products and halves below the normal range.
    return Encoded(vectors.astype(np.float16), codes, bits, worst**0.5 / scale + HALF_STEP + 1e-4)


def encode_queries(vectors: npt.ArrayLike, model: Model) -> Queries:
    """Queries `[n, d]` or `[d]`, of any length but zero. Raises `BadQueryError`."""
    given = np.atleast_2d(np.asarray(vectors, np.float32))
    if given.ndim != 2 or given.shape[1] != model.dimension:
        raise BadQueryError(0, f"{model.name} has {model.dimension} dimensions, not {given.shape[-1]}")
    scaled, endless, zero = unit(given)
    for bad, reason in ((endless, "a component is not finite"), (zero, "the vector is zero")):
        if bad.any():
            raise BadQueryError(int(np.flatnonzero(bad)[0]), reason)
    return Queries(model, scaled.astype(np.float16).astype(np.float32))


def _coded(half: Floats, model: Model) -> Coded:
    rotated = half @ projection(model)[:, : model.dimension]
    steps = np.abs(rotated).max(axis=1, keepdims=True) / 127
    whole = np.rint(rotated / steps)
    rest = rotated - whole * steps
    error = float(np.einsum("ij,ij->i", rest, rest).max(initial=0.0)) ** 0.5
    rotated /= np.float32(model.scale)
    return Coded(rotated, whole, steps[:, 0] / np.float32(model.scale), error)


def exact_scores(query: npt.NDArray[np.float64], half: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    """Inner products of one query with rows of half floats, without any rounding.

    Halves up to one are multiples of 2⁻²⁴, so every partial sum is a multiple of 2⁻⁴⁸ below 2 and fits a float64: the
    result does not depend on the order of summation, the batch or the machine.
    """
    scores: npt.NDArray[np.float64] = half.astype(np.float64) @ query
    return scores
