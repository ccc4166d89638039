"""The archive: facts as Delta tables, which anyone reads while they are written (Polars, DuckDB, Spark).

A write carries, in the same transaction of the table, how far into each shard's log it reaches. So a writer that comes
again, or a second one that does not know of the first, adds nothing twice (docs/decisions/0017). Calls block: use
threads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.archive import PARTITION, TABLES
from schemas.errors import UnavailableError

Merge = Callable[[pl.LazyFrame], pa.Table | pa.RecordBatchReader]
"""What the rows of a day that is over become."""
MOST_RETRIES = 15
SMALL_FILES = 32
"""So many files of a day are joined."""
KEEP_HOURS = 24
"""How long files that a compaction replaced stay, for who reads the version before."""


CONFIGURATION = {"delta.logRetentionDuration": "interval 2 days"}
"""Of each table: one entry of its log each few seconds are many, and nobody reads a version of last week."""
_STORED = "@stored"
_ENDLESS = 10**12
_LATE = timedelta(days=2)
"""Most of what comes late comes within it; older days are merged again only for as many files as are joined."""
_MERGED = WriterProperties(compression="UNCOMPRESSED", max_row_group_size=131_072)
"""Small groups of rows, which a reader passes over by their least and greatest values; in order, words and times are
short without compression, and read faster (docs/decisions/0017)."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A place of a log: the sequence of a commit, and when it was stored (µs UTC), by which it is known again."""

    sequence: int = 0
    stored_at: int = 0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What joining small files did."""

    removed: int
    added: int


class Archive:
    """The tables of `schemas.archive` below a folder or an object store's URL, made when something is first written."""

    def __init__(self, url: str) -> None:
        """`url` as Delta Lake takes it; keys of an object store come from the environment of the process."""
        self._url = url.rstrip("/")
        self._scanned: dict[str, tuple[int, pl.LazyFrame]] = {}

    def _home(self, table: str) -> str:
        return f"{self._url}/{table}"

    def _open(self, table: str) -> DeltaTable | None:
        try:
            with _answered():
                return DeltaTable(self._home(table))
        except TableNotFoundError:
            return None

    def held(self, table: str, logs: Iterable[str]) -> tuple[int, dict[str, Reached]]:
        """The newest version of a table, -1 where there is none, and how far that one holds each log."""
        found = self._open(table)
        return -1 if found is None else found.version(), {log: _reached(found, log) for log in logs}

    def version(self, table: str) -> int:
        """The newest version of a table, -1 where there is none."""
        return self.held(table, ())[0]

    def append(self, table: str, rows: pa.Table, held: Mapping[str, Reached], reached: Mapping[str, Reached]) -> int:
        """Add rows that bring the table from where it `held` their logs to what is `reached`; its new version.

        All or none. Raises `UnavailableError` where the storage fails, or where another writer moved one of these logs:
        nothing is added then, begin again from `held()`.
        """
        with _answered():
            there = DeltaTable.create(
                self._made(table),
                TABLES[table],
                mode="ignore",
                partition_by=list(PARTITION),
                name=table,
                configuration=CONFIGURATION,
            )
            if any(_reached(there, log) != held[log] for log in reached):
                raise UnavailableError(f"another writer has moved {self._home(table)} on", retry_after_s=1)
            moved = [Transaction(log, at.sequence) for log, at in reached.items()]
            moved += [Transaction(f"{log}{_STORED}", at.stored_at) for log, at in reached.items()]
            # From the version that was just looked at: Delta refuses it where one of these logs moved in between.
            write_deltalake(
                there,
                rows,
                mode="append",
                commit_properties=CommitProperties(app_transactions=moved, max_commit_retries=MOST_RETRIES),
            )
            return there.version()

    def _made(self, table: str) -> str:
        if "://" not in self._url:
            # Events say who did what, and why: nobody else looks into the root, whatever the umask.
            Path(self._url).mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(self._home(table)).mkdir(exist_ok=True)
        return self._home(table)

    def scan(self, table: str, version: int) -> pl.LazyFrame:
        """A table as of a version, lazily; empty for -1. The log of the table is read once for a version."""
        if version < 0:
            return pl.LazyFrame(pl.from_arrow(TABLES[table].empty_table()))
        known, found = self._scanned.get(table, (-1, pl.LazyFrame()))
        if known != version:
            with _answered():
                found = pl.scan_delta(self._home(table), version=version)
            self._scanned[table] = version, found
        return found

    def compact(self, table: str, today: date, merge: Merge | None = None) -> Compacted:
        """Join the small files of the days that have many, and remove those that were replaced `KEEP_HOURS` ago.

        With `merge` the rows of a day before `today` (UTC) with two files (many, where it is longer ago) become what it
        makes of them, in about its order, else they stay. Readers go on, and so may writers: where one adds to that
        very day meanwhile, `UnavailableError`, and nothing is done.
        """
        found = self._open(table)
        if found is None:
            return Compacted(0, 0)
        removed = added = 0
        with _answered():
            files = pl.DataFrame(found.get_add_actions(flatten=True))
            for context, day, count in files.group_by("partition.context", "partition.day").len().iter_rows():
                if merge is not None and day < today and count >= (2 if today - day <= _LATE else SMALL_FILES):
                    whole = self.scan(table, found.version()).filter(pl.col("context") == context, pl.col("day") == day)
                    predicate = f"context = '{context}' AND day = '{day}'"
                    # In one file, or the day would be merged again and again.
                    write_deltalake(
                        found,
                        merge(whole),
                        mode="overwrite",
                        predicate=predicate,
                        target_file_size=_ENDLESS,
                        writer_properties=_MERGED,
                    )
                    removed, added = removed + count, added + 1
                elif count >= SMALL_FILES:
                    done = found.optimize.compact([("context", "=", context), ("day", "=", str(day))])
                    removed, added = removed + done["numFilesRemoved"], added + done["numFilesAdded"]
            found.vacuum(KEEP_HOURS, dry_run=False, enforce_retention_duration=False)
        return Compacted(removed, added)


def _reached(table: DeltaTable | None, log: str) -> Reached:
    if table is None:
        return Reached()
    return Reached(table.transaction_version(log) or 0, table.transaction_version(f"{log}{_STORED}") or 0)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except TableNotFoundError:
        raise
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"the archive does not answer: {error}", retry_after_s=2) from error
