"""What has been read and is not in a table of the archive yet.

Methods are for the thread of the event loop, and exchange what belongs together; what they hand out runs in any.
"""

from collections.abc import Callable, Mapping

import polars as pl
import pyarrow as pa

from actors.archiving.rollups import merged, rolled
from schemas.archive import ROLLUP
from streams.archive import Reached


class Tail:
    """Facts behind a `version` of one table, which has each log as far as `held`."""

    def __init__(self, version: int, held: dict[str, Reached], schema: pa.Schema) -> None:
        self.version, self.held, self._schema = version, held, schema
        self._rows: list[pa.Table] = []
        self._reached: dict[str, Reached] = {}
        self._writing: list[pa.Table] = []
        self._bytes = 0

    def add(self, log: str, reached: Reached, rows: pa.Table) -> None:
        """What a batch of a log brings, which may be nothing, and where that batch stands."""
        self._reached[log] = reached
        if len(rows):
            self._rows.append(rows)
            self._bytes += rows.nbytes

    @property
    def bytes(self) -> int:
        """Of the facts that wait."""
        return self._bytes

    @property
    def count(self) -> int:
        """Their rows, with those that are being written."""
        return sum(map(len, (*self._writing, *self._rows)))

    @property
    def pending(self) -> Mapping[str, Reached]:
        """How far the facts go that could be written now."""
        return self._reached

    @property
    def empty(self) -> bool:
        """Whether what could be written now is only how far the logs were read."""
        return not self._rows

    def begin(self) -> tuple[pa.Table, dict[str, Reached]]:
        """The rows to write now, and how far they go; what comes from here on stays behind them."""
        self._writing, self._rows, self._bytes = self._rows, [], 0
        reached, self._reached = self._reached, {}
        return self._together(self._writing), reached

    def end(self, version: int, reached: Mapping[str, Reached]) -> None:
        """They are in the table, as of this version."""
        self.version, self._writing = version, []
        self.held = {**self.held, **reached}

    def told(self) -> Callable[[], pa.Table]:
        """What makes a table of everything behind the version, as it is now."""
        rows = [*self._writing, *self._rows]
        return lambda: self._together(rows)

    def _together(self, tables: list[pa.Table]) -> pa.Table:
        return pa.concat_tables([self._schema.empty_table(), *tables])


class RollupTail(Tail):
    """The tail of a roll-up: the facts are readings, until `roll` makes parts of buckets of them.

    `every` is the width of the buckets.
    """

    def __init__(self, version: int, held: dict[str, Reached], every: str) -> None:
        super().__init__(version, held, ROLLUP)
        self._every, self._parts = every, ROLLUP.empty_table()
        self._rolling: list[pa.Table] = []
        self._rolled_to: dict[str, Reached] = {}

    @property
    def bytes(self) -> int:
        """See `Tail`."""
        return super().bytes + int(self._parts.nbytes)

    @property
    def count(self) -> int:
        """Rows of parts; readings that are not rolled up yet would be counted twice."""
        return sum(map(len, (*self._writing, self._parts)))

    @property
    def pending(self) -> Mapping[str, Reached]:
        """See `Tail`."""
        return self._rolled_to

    @property
    def empty(self) -> bool:
        """See `Tail`."""
        return not len(self._parts)

    def roll(self) -> tuple[Callable[[], pa.Table], Callable[[pa.Table], None]]:
        """What makes parts of the readings that have come so far, and what takes them over."""
        self._rolling, self._rows, self._bytes = self._rows, [], 0
        reached, self._reached = self._reached, {}
        parts, rows = self._parts, self._rolling

        def take(made: pa.Table) -> None:
            self._parts, self._rolling = made, []
            self._rolled_to |= reached

        return lambda: _rolled(parts, rows, self._every), take

    def begin(self) -> tuple[pa.Table, dict[str, Reached]]:
        """See `Tail`."""
        self._writing, self._parts = [self._parts], ROLLUP.empty_table()
        reached, self._rolled_to = self._rolled_to, {}
        return self._writing[0], reached

    def told(self) -> Callable[[], pa.Table]:
        """See `Tail`."""
        writing, parts, rows = self._writing, self._parts, [*self._rolling, *self._rows]
        return lambda: self._together([*writing, _rolled(parts, rows, self._every)])


def _rolled(parts: pa.Table, rows: list[pa.Table], every: str) -> pa.Table:
    if not rows:
        return parts
    return merged(pl.DataFrame(pa.concat_tables([parts, rolled(pa.concat_tables(rows), every)])).lazy())
