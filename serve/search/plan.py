"""Which rows of a segment a search may see, and how to scan them. Pure: decided from filters and segment alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from serve.search.segment import Ints, Mask, Segment
from serve.search.segment_rows import ATTRIBUTES, Vocabularies

Kind = Literal["skip", "gather", "bits", "int8", "int8+mask", "int8+spans"]
GATHER_ROWS = 1024
"""Up to here reading the rows' half floats costs less than turning the query and scanning int8 codes."""
BITS_ROWS = 16_384
"""From here on reading the sign bits first saves more than it costs when int8 codes have to be scanned after all."""
SPANS, ROWS_PER_SPAN = 16, 2048
"""Up to 16 runs, and one more for each 2,048 rows of a segment, are visited one by one sooner than rows are tested."""
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


def floors_of(cameras: Mapping[str, int], texts: Vocabularies) -> Ints:
    """The bound of each camera by number, and one for a camera that nobody knows."""
    size = len(texts.camera.texts)  # appends may go on beside a search: what comes later is in none of its segments
    floors = np.full(size + 1, -EVER, np.int64)
    for camera, bound in cameras.items():
        if 0 <= (number := texts.camera.numbers.get(camera, -1)) < size:
            floors[number] = bound
    return floors


class Bound(NamedTuple):
    """Filters in the numbers of one index, made once per search."""

    filters: Filters
    cameras: Mask | None
    floors: Ints
    """The earliest time of each camera, by retention and filters."""
    latest: int
    """The latest of these."""
    attributes: tuple[tuple[int, Mask], ...]


def bind(filters: Filters, texts: Vocabularies) -> Bound:
    """Look all texts up."""
    floors = floors_of(filters.floors, texts)
    np.maximum(floors, filters.start, out=floors)
    return Bound(
        filters,
        None if filters.cameras is None else texts.camera.chosen(filters.cameras),
        floors,
        int(floors.max()),
        tuple(
            (at, texts.attributes[at].chosen(filters.attributes[name]))
            for at, name in enumerate(ATTRIBUTES)
            if name in filters.attributes
        ),
    )


@dataclass(frozen=True, slots=True)
class Permitted:
    """The rows of a segment that a search may see: `count` of them, all when there is neither a mask nor `spans`.

    `spans` are runs [start, end) of rows, given instead of a mask where a few cameras and the window alone decided.
    """

    count: int
    mask: Mask | None
    spans: Ints | None
    in_window: bool


NOTHING = Permitted(0, None, None, False)


def permitted(segment: Segment, bound: Bound) -> Permitted:
    """Find them, looking at as few columns as the filters need."""
    filters, rows = bound.filters, segment.rows
    if segment.last < filters.start or segment.first >= filters.end:
        return NOTHING
    whole = bound.latest <= segment.first and segment.last < filters.end
    alike = filters.min_quality <= segment.lowest_quality and not bound.attributes
    if whole and alike and bound.cameras is None:
        return Permitted(len(segment), None, None, True)
    floors, lengths = bound.floors[segment.run_cameras], segment.run_lengths
    runs = (segment.run_lasts >= floors) & (segment.run_firsts < filters.end)
    if bound.cameras is not None:
        runs &= bound.cameras[segment.run_cameras]
    if alike and np.count_nonzero(runs) <= SPANS + len(segment) // ROWS_PER_SPAN:
        return _in_spans(segment, runs, None if whole else floors, filters.end)
    mask = np.repeat(runs, lengths)
    if not whole:
        mask &= (rows.time >= np.repeat(floors, lengths)) & (rows.time < filters.end)
    if filters.min_quality > segment.lowest_quality:
        mask &= rows.quality >= np.float32(filters.min_quality)
    for at, flags in bound.attributes:
        mask &= flags[rows.attributes[:, at]]
    count = int(np.count_nonzero(mask))
    return Permitted(count, None if count in {0, len(segment)} else mask, None, True)


def _in_spans(segment: Segment, runs: Mask, floors: Ints | None, end: int) -> Permitted:
    """Of some cameras' runs the rows from their floors to `end`; all without floors."""
    spans = np.stack([segment.starts[:-1][runs], segment.starts[1:][runs]], axis=1)
    if floors is not None:
        times, (starts, ends) = segment.rows.time, spans.T
        first = _bisected(times, starts, ends, floors[runs])
        last = ends if end > segment.last else _bisected(times, starts, ends, np.full(len(spans), end))
        spans = np.stack([first, last], axis=1)[first < last]
    count = int((spans[:, 1] - spans[:, 0]).sum())
    return Permitted(count, None, None if count in {0, len(segment)} else spans, True)


def _bisected(times: Ints, starts: Ints, ends: Ints, bounds: Ints) -> Ints:
    """In each run [start, end) of rising times the first row not before the run's bound; all runs in step."""
    before, step = starts - 1, 1 << int((ends - starts).max(initial=0)).bit_length()
    while step := step >> 1:
        further = np.minimum(before + step, ends - 1)
        before = np.where(times[further] < bounds, further, before)
    return before + 1


class Plan(NamedTuple):
    """How a segment is scanned, and why."""

    kind: Kind
    why: str


def choose(rows: int, seen: Permitted, exact: bool, trusted: bool) -> Plan:
    """Of a segment with so many `rows`; `trusted` says whether bits may be used."""
    count = seen.count
    if not count:
        return Plan("skip", "no permitted row")
    if count <= GATHER_ROWS:
        return Plan("gather", f"{count} of {rows} rows: cheaper to read as they are than by their codes")
    if seen.spans is not None:
        return Plan("int8+spans", f"{count} of {rows} rows, in {len(seen.spans)} runs")
    if count < rows:
        # Sign bits were slower here: the fewer rows are permitted, the less alike are the best of them, and bits cannot
        # tell those from strangers: nearly every segment had to be scanned by int8 codes after all.
        return Plan("int8+mask", f"{count} of {rows} rows are permitted")
    if exact or not trusted or count < BITS_ROWS:
        why = "exact was asked for" if exact else f"{count} rows" if trusted else "bits recall too little"
        return Plan("int8", why)
    return Plan("bits", f"all {count} rows are permitted")
