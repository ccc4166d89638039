"""Every error that the system raises on purpose: one base class, typed fields, a sentence that helps the reader.

`serve/problems.py` holds the one table that maps them to HTTP statuses.
"""

from dataclasses import dataclass, field
from typing import Any


class BomnaeError(Exception):
    """Base of all errors raised on purpose; `str()` of it is fit for the person who caused it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with all fields: `Exception` itself pickles positional arguments only."""
        return _again, (type(self), self.args, self.__dict__)


def _again(cls: type[BomnaeError], args: tuple[Any, ...], fields: dict[str, Any]) -> BomnaeError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


@dataclass
class SequenceConflictError(BomnaeError):
    """The log moved past the sequence that the writer expected; nothing was stored."""

    log: str
    expected: int

    def __str__(self) -> str:
        return f"{self.log} moved past sequence {self.expected}: another owner took over, or an earlier write landed"


@dataclass
class FencedError(BomnaeError):
    """A newer epoch owns the shard; this owner must leave for good."""

    log: str
    epoch: int
    newer: int

    def __str__(self) -> str:
        return f"{self.log} belongs to epoch {self.newer}, this owner held epoch {self.epoch}: leave"


@dataclass
class AppendTimeoutError(BomnaeError):
    """No answer came in time: the batch may or may not be stored. Read the tail before anything else."""

    log: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.log} did not answer within {self.seconds} s: read its tail to learn whether the batch landed"


@dataclass
class OversizedError(BomnaeError):
    """A record is larger than the server takes in one message; nothing was stored, and trying again changes nothing."""

    log: str
    size: int
    most: int

    def __str__(self) -> str:
        return f"{self.log} takes records of at most {self.most:,} bytes, not one of {self.size:,}"


@dataclass
class StorageFullError(BomnaeError):
    """The stream reached its configured size; nothing was stored. Retry when there is room."""

    log: str

    def __str__(self) -> str:
        return f"{self.log} has reached its size limit: raise max_bytes or archive, the write can then be retried"


@dataclass
class LogGapError(BomnaeError):
    """Messages that the log should hold are missing between two sequences."""

    log: str
    after: int
    found: int

    def __str__(self) -> str:
        return f"{self.log} continues at {self.found} after {self.after}: messages between them are missing"


@dataclass
class UnknownEventError(BomnaeError):
    """A stored event type that no registered class or upcaster reads."""

    type: str

    def __str__(self) -> str:
        return f"no class reads the stored event type {self.type!r}: is this program older than the log?"


@dataclass
class NotFoundError(BomnaeError):
    """The named entity does not exist."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.id!r}"


@dataclass
class ConflictError(BomnaeError):
    """The request is well formed but impossible in the present state."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class InvalidError(BomnaeError):
    """The request is not well formed; `errors` name the places."""

    reason: str
    errors: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.reason


@dataclass
class IdempotencyConflictError(BomnaeError):
    """An Idempotency-Key came again with another body."""

    key: str

    def __str__(self) -> str:
        return f"Idempotency-Key {self.key!r} was used before with another request: use a new key"


@dataclass
class UnavailableError(BomnaeError):
    """A part is not ready or overloaded; try again after `retry_after_s`."""

    reason: str
    retry_after_s: int = 1

    def __str__(self) -> str:
        return self.reason


@dataclass
class TooManyRequestsError(BomnaeError):
    """This client asks too much; try again after `retry_after_s`."""

    reason: str
    retry_after_s: int = 1

    def __str__(self) -> str:
        return self.reason


@dataclass
class GoneError(BomnaeError):
    """The state asked for lies before the oldest snapshot that is kept."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class UnauthenticatedError(BomnaeError):
    """No valid bearer token came with the request."""

    reason: str = "a bearer token is needed: mint one with `bomnae token --role ...`"

    def __str__(self) -> str:
        return self.reason


@dataclass
class ForbiddenError(BomnaeError):
    """The token's role may not do this."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class PackError(BomnaeError):
    """A city pack breaks a rule; names file and line."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass
class SetupError(BomnaeError):
    """The instance cannot start or run as asked; the sentence says what to do."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class DivergenceError(BomnaeError):
    """Replay led to something else than what the log holds: the log or the program was changed."""

    log: str
    sequence: int
    what: str

    def __str__(self) -> str:
        return f"{self.log} at sequence {self.sequence}: replay gives another {self.what} than the log holds"


@dataclass
class LostLogError(BomnaeError):
    """A snapshot holds what its log does not: the log was lost, cut, or put back to an earlier state."""

    log: str
    sequence: int

    def __str__(self) -> str:
        return (
            f"{self.log} has no such commit at sequence {self.sequence} as a snapshot of it stands at: what was "
            "acknowledged is lost. Restore a backup"
        )


@dataclass
class ObjectError(BomnaeError):
    """So many erasable objects are not as the logs say: missing, damaged, or still there though they were erased."""

    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.count} objects are not as the logs say, the first is {self.first}: do as is said of each"
