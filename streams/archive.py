"""The archive: facts as Delta tables, which anyone reads while they are written (Polars, DuckDB, Spark).

A write carries, in the same transaction of the table, how far into each shard's log it reaches. So a writer that comes
again, or a second one that does not know of the first, adds nothing twice (docs/decisions/0017). Calls block: use
threads.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from schemas.archive import PARTITION, TABLES
from schemas.errors import UnavailableError

MOST_RETRIES = 15
SMALL_FILES = 32
"""So many files of a day are joined."""
KEEP_HOURS = 24
"""How long files that a compaction replaced stay, for who reads the version before."""


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

    def _home(self, table: str) -> str:
        return f"{self._url}/{table}"

    def _open(self, table: str) -> DeltaTable | None:
        try:
            with _answered():
                return DeltaTable(self._home(table))
        except TableNotFoundError:
            return None

    def reached(self, table: str, logs: Iterable[str]) -> dict[str, int]:
        """The log sequence up to which a table holds each log, 0 for none of it."""
        found = self._open(table)
        return {log: (found and found.transaction_version(log)) or 0 for log in logs}

    def version(self, table: str) -> int:
        """The newest version of a table, -1 where there is none."""
        found = self._open(table)
        return -1 if found is None else found.version()

    def append(self, table: str, rows: pa.Table, held: Mapping[str, int], reached: Mapping[str, int]) -> int:
        """Add rows that bring the table from where it `held` their logs to what is `reached`; its new version.

        All or none. Raises `UnavailableError` where the storage fails, or where another writer moved one of these logs:
        nothing is added then, begin again from `reached()`.
        """
        with _answered():
            there = DeltaTable.create(
                self._made(table), TABLES[table], mode="ignore", partition_by=list(PARTITION), name=table
            )
            if any((there.transaction_version(log) or 0) != held[log] for log in reached):
                raise UnavailableError(f"another writer has moved {self._home(table)} on", retry_after_s=1)
            moved = [Transaction(log, sequence) for log, sequence in reached.items()]
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
            Path(self._home(table)).mkdir(parents=True, exist_ok=True)
        return self._home(table)

    def scan(self, table: str, version: int) -> pl.LazyFrame:
        """A table as of a version, lazily; empty for -1."""
        if version < 0:
            return pl.LazyFrame(pl.from_arrow(TABLES[table].empty_table()))
        return pl.scan_delta(self._home(table), version=version)

    def compact(self, table: str) -> Compacted:
        """Join the small files of the days that have many, and remove those that were replaced `KEEP_HOURS` ago.

        Readers and writers may go on; the rows stay the same.
        """
        found = self._open(table)
        if found is None:
            return Compacted(0, 0)
        with _answered():
            files = pl.DataFrame(found.get_add_actions(flatten=True))
            crowded = files.group_by("partition.context", "partition.day").len().filter(pl.col("len") >= SMALL_FILES)
            removed = added = 0
            for context, day, _ in crowded.iter_rows():
                done = found.optimize.compact([("context", "=", context), ("day", "=", str(day))])
                removed, added = removed + done["numFilesRemoved"], added + done["numFilesAdded"]
            found.vacuum(KEEP_HOURS, dry_run=False, enforce_retention_duration=False)
        return Compacted(removed, added)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except TableNotFoundError:
        raise
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"the archive does not answer: {error}", retry_after_s=2) from error
