"""What a search shard knows beside its rows: how far it has read, cameras, blocks, erasures, watches, what is to do.

SQLite in the shard's own folder, written in one transaction with the position in the log. Nothing in it cannot be read
from the log again, and nothing in it is erasable: ids, times and digests.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import orjson

from serve.search.store import DamagedStoreError

VERSION = 2
"""A catalogue of another version is thrown away with the rows, and read from the log again."""

_TABLES = """
CREATE TABLE positions (context TEXT, shard INTEGER, sequence INTEGER, PRIMARY KEY (context, shard)) WITHOUT ROWID;
CREATE TABLE cameras (camera TEXT PRIMARY KEY, facts TEXT, since INTEGER) WITHOUT ROWID;
CREATE TABLE silences (camera TEXT, since INTEGER, until INTEGER, PRIMARY KEY (camera, since)) WITHOUT ROWID;
CREATE TABLE blocks (
    block TEXT PRIMARY KEY, camera TEXT, model TEXT, dimensions INTEGER, camera_group TEXT, shard INTEGER,
    first INTEGER, last INTEGER, rows INTEGER, observed INTEGER, sequence INTEGER, state TEXT
) WITHOUT ROWID;
CREATE INDEX blocks_of_camera ON blocks (camera, last);
CREATE INDEX blocks_by_state ON blocks (state) WHERE state <> 'sealed';
CREATE INDEX blocks_by_arrival ON blocks (observed);
CREATE TABLE erasures (
    camera TEXT, erasure TEXT, shard INTEGER, sequence INTEGER, event TEXT, done INTEGER, PRIMARY KEY (camera, erasure)
) WITHOUT ROWID;
CREATE TABLE cuts (camera TEXT PRIMARY KEY, before INTEGER) WITHOUT ROWID;
CREATE TABLE watches (watch TEXT, person_case TEXT, event TEXT, PRIMARY KEY (person_case, watch)) WITHOUT ROWID;
CREATE TABLE case_objects (person_case TEXT, object TEXT, PRIMARY KEY (person_case, object)) WITHOUT ROWID;
CREATE TABLE case_sightings (
    person_case TEXT, camera TEXT, sighting TEXT, PRIMARY KEY (person_case, camera, sighting)
) WITHOUT ROWID;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, kind TEXT, key TEXT, data TEXT, UNIQUE (kind, key));
"""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""What SQLite says of a file that is not what it wrote; that it is busy or the disk full says nothing of the file."""

SEALED, OPEN, MISSING = "sealed", "open", "missing"
"""Where a block's rows are: all on disk, (also) in memory alone, or nowhere, because the object is not there."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block that the log names and no event has erased or expired. Times are µs UTC; `observed` is the event's.

    `camera_group` is the camera's when it came; `shard` and `sequence` say where the log names it.
    """

    block: str
    camera: str
    model: str
    dimensions: int
    camera_group: str
    shard: int
    first: int
    last: int
    rows: int
    observed: int
    sequence: int
    state: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do outside of the shard, kept until it is done; doing it again is harmless."""

    id: int
    kind: str
    key: str
    data: dict[str, Any]


class Catalogue:
    """One shard's. Calls may come from several threads; `writing` makes everything inside it one transaction."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises `DamagedStoreError`, also for one of another version."""
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            if error.sqlite_errorcode & 0xFF not in _DAMAGE:
                raise
            raise DamagedStoreError(str(path), str(error)) from error
        except DamagedStoreError:
            self._db.close()
            raise

    def _open(self, path: Path) -> None:
        # Losing the newest transactions with the power is harmless: the log is read again from the older position.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;")
        if not self._version():
            self._db.executescript(f"{_TABLES} PRAGMA user_version={VERSION};")
        if self._version() != VERSION:
            raise DamagedStoreError(str(path), f"it has version {self._version()}, not {VERSION}")
        ((found,),) = self._db.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise DamagedStoreError(str(path), found)

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it or, where the block raises, nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def do(self, statement: str, *values: object) -> None:
        """Run one statement that changes something."""
        with self._lock:
            self._db.execute(statement, values)

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def position(self, context: str, shard: int) -> int:
        """Sequence of the last batch that is in here; 0 at first."""
        found = self.ask("SELECT sequence FROM positions WHERE context = ? AND shard = ?", context, shard)
        return int(found[0][0]) if found else 0

    def move(self, context: str, shard: int, sequence: int) -> None:
        """Keep a position."""
        self.do("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", context, shard, sequence)

    def put_block(self, block: Block) -> None:
        """Keep a block, replacing one of the same name."""
        self.do("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *astuple(block))

    def blocks(self, where: str = "1", *values: object) -> list[Block]:
        """The blocks of a condition, in the order in which the log names them."""
        names = ", ".join(Block.__slots__)
        # The condition is the program's own text; values travel beside it.
        found = self.ask(f"SELECT {names} FROM blocks WHERE {where} ORDER BY shard, sequence, block", *values)  # noqa: S608
        return [Block(*row) for row in found]

    def mark(self, state: str, blocks: Sequence[str]) -> None:
        """Change where blocks' rows are."""
        with self._lock:
            self._db.executemany("UPDATE blocks SET state = ? WHERE block = ?", [(state, one) for one in blocks])

    def forget_block(self, block: str) -> None:
        """The log says that it is gone."""
        self.do("DELETE FROM blocks WHERE block = ?", block)

    def add_task(self, kind: str, key: str, data: dict[str, Any]) -> None:
        """Have something done; the same kind and key once, with the newest data."""
        self.do(
            "INSERT OR REPLACE INTO tasks (kind, key, data) VALUES (?, ?, ?)", kind, key, orjson.dumps(data).decode()
        )

    def tasks(self, kind: str = "") -> list[Task]:
        """What is to be done, oldest first."""
        found = self.ask("SELECT id, kind, key, data FROM tasks WHERE kind = ? OR ? = '' ORDER BY id", kind, kind)
        return [Task(number, what, key, orjson.loads(data)) for number, what, key, data in found]

    def done(self, kind: str, key: str) -> None:
        """It is done, or nobody wants it any more."""
        self.do("DELETE FROM tasks WHERE kind = ? AND key = ?", kind, key)
