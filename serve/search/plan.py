"""Which rows of a segment a search may see, and how to scan them. Pure: decided from filters and segment alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from serve.search.segment import Ints, Mask, Segment
from serve.search.segment_rows import ATTRIBUTES, Vocabularies

Kind = Literal["skip", "gather", "bits", "bits+mask", "int8", "int8+mask"]
GATHER_ROWS = 1024
"""Up to here copying the rows' int8 codes costs less than testing every row of a segment of 65,536."""
BITS_ROWS = 16_384
"""From here on reading the sign bits first saves more than it costs when int8 codes have to be scanned after all."""
EVER = 2**62


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search may see; everything by default. `start` ≤ time < `end` in µs; areas come as sets of cameras.

    `attributes` are hard: a sighting whose attribute is another, or unknown, is not permitted. `floors`: cameras of
    which nothing before a moment of their own may be seen.
    """

    start: int = -EVER
    end: int = EVER
    cameras: frozenset[str] | None = None
    min_quality: float = 0.0
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := self.attributes.keys() - set(ATTRIBUTES):
            raise ValueError(f"no such attribute: {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class Retention:
    """Nothing older may be found: `before` in µs, and other bounds for single cameras. Bounds only ever rise."""

    before: int = -EVER
    cameras: Mapping[str, int] = field(default_factory=dict)

    def floors(self, texts: Vocabularies) -> Ints:
        """The bound of each camera by number."""
        floors = np.full(len(texts.camera.texts) + 1, self.before, np.int64)
        for camera, bound in self.cameras.items():
            if 0 <= (number := texts.camera.numbers.get(camera, -1)) < len(floors):
                floors[number] = bound
        return floors


NO_BOUND = Retention()


class Bound(NamedTuple):
    """Filters and retention in the numbers of one index, made once per search."""

    filters: Filters
    cameras: Mask | None
    floors: Ints
    attributes: tuple[tuple[int, Mask], ...]


def bind(filters: Filters, retention: Retention, texts: Vocabularies) -> Bound:
    """Look all texts up."""
    return Bound(
        filters,
        None if filters.cameras is None else texts.camera.chosen(filters.cameras),
        np.maximum(retention.floors(texts), Retention(cameras=filters.floors).floors(texts)),
        tuple(
            (at, texts.attributes[at].chosen(filters.attributes[name]))
            for at, name in enumerate(ATTRIBUTES)
            if name in filters.attributes
        ),
    )


@dataclass(frozen=True, slots=True)
class Permitted:
    """The rows of a segment that a search may see: `count` of them, all when there is neither a mask nor `spans`.

    `spans` are runs [start, end) of rows, given instead of a mask when cameras alone decided.
    """

    count: int
    mask: Mask | None
    spans: Ints | None
    in_window: bool

    def whole_mask(self, rows: int) -> Mask | None:
        """As a mask of all rows."""
        if self.spans is None:
            return self.mask
        edges = np.zeros(rows + 1, np.int8)
        edges[self.spans[:, 0]] += 1
        edges[self.spans[:, 1]] -= 1
        return np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)

    def chosen(self) -> npt.NDArray[np.intp]:
        """The row numbers; only where there is a mask or spans."""
        if self.spans is None:
            return np.flatnonzero(self.mask if self.mask is not None else np.empty(0, np.bool_))
        return np.concatenate([np.arange(start, end) for start, end in self.spans.tolist()])


NOTHING = Permitted(0, None, None, False)


def permitted(segment: Segment, bound: Bound) -> Permitted:
    """Find them, looking at as few columns as the filters need."""
    filters, rows = bound.filters, segment.rows
    if segment.last < filters.start or segment.first >= filters.end:
        return NOTHING
    floors = np.maximum(bound.floors[segment.run_cameras], filters.start)
    runs = (segment.run_lasts >= floors) & (segment.run_firsts < filters.end)
    if bound.cameras is not None:
        runs &= bound.cameras[segment.run_cameras]
    whole = (segment.run_firsts >= floors) & (segment.run_lasts < filters.end)
    lengths = segment.run_lengths
    cut = bool((runs & ~whole).any())
    if not cut and filters.min_quality <= segment.lowest_quality and not bound.attributes:
        count = int(lengths[runs].sum())
        if count in {0, len(segment)}:
            return Permitted(count, None, None, True)
        return Permitted(count, None, np.stack([segment.starts[:-1][runs], segment.starts[1:][runs]], axis=1), True)
    mask = np.repeat(runs, lengths)
    if cut:
        mask &= (rows.time >= np.repeat(floors, lengths)) & (rows.time < filters.end)
    if filters.min_quality > segment.lowest_quality:
        mask &= rows.quality >= np.float32(filters.min_quality)
    for at, flags in bound.attributes:
        mask &= flags[rows.attributes[:, at]]
    count = int(np.count_nonzero(mask))
    return Permitted(count, None if count in {0, len(segment)} else mask, None, True)


class Plan(NamedTuple):
    """How a segment is scanned, and why."""

    kind: Kind
    why: str


def choose(rows: int, count: int, exact: bool, trusted: bool) -> Plan:
    """Of a segment with so many `rows`, of which `count` are permitted; `trusted` says whether bits may be used."""
    if not count:
        return Plan("skip", "no permitted row")
    if count <= GATHER_ROWS:
        return Plan("gather", f"{count} of {rows} rows: cheaper to copy than to test each")
    masked = count < rows
    if exact or not trusted or count < BITS_ROWS:
        why = (
            "exact was asked for"
            if exact
            else f"{count} rows: int8 is as fast"
            if trusted
            else "bits recall too little"
        )
        return Plan("int8+mask" if masked else "int8", why)
    return Plan("bits+mask" if masked else "bits", f"{count} of {rows} rows are permitted")
