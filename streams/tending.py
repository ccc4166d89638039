"""Keeps the embedded nats-server running and storing: when it ended, is not well any more, or its disk is full.

JetStream stops a stream that it cannot write, answers nobody who publishes there, and leaves it stopped when there is
room again: only a restart helps.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

import psutil

from schemas.errors import SetupError
from streams.server import MAX_PAYLOAD, EmbeddedServer

FULL_BYTES = 2 * MAX_PAYLOAD
"""Free bytes below which a disk is full: the next message may not fit, and one that does not stops its stream."""
ROOM_BYTES = 4 * FULL_BYTES
"""Free bytes from which on a disk that was full has room again."""

_LOOK_S = 1.0
_AGAIN_S = 1.0
"""Least time between two starts."""
_UNWELL_S = 5.0
"""How long a server may say that it is not well before it is started anew."""
_SILENT_S = 30.0
"""The same for one that does not answer: a machine that is too busy is no reason."""
_REMIND_S = 60.0


def free_bytes(folder: Path) -> int:
    """Room that the disk of a folder still has for us."""
    return int(psutil.disk_usage(str(folder)).free)


class Step(Enum):
    """What to do after a look."""

    NONE = auto()
    TELL = auto()
    """It is not well, and a restart would not help."""
    WAIT = auto()
    """The disk is full: until there is room there is no sense in starting."""
    START = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look showed. `trouble` is empty while the server is well; `free` are bytes."""

    runs: bool
    answers: bool
    trouble: str
    free: int

    @property
    def well(self) -> bool:
        """Whether it runs and stores."""
        return self.runs and self.answers and not self.trouble


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier looks showed: when it was last started, since when it is not well (None while it is; seconds).

    `was_well`: at any time since that start; `full`: the disk, at the look before.
    """

    started: float
    unwell: float | None = None
    was_well: bool = False
    full: bool = False


def decide(past: Past, seen: Seen, now: float) -> tuple[Step, Past]:
    """What to do now, and what to remember. Pure.

    One that was never well since its start recovers its streams, however long that takes: starting it anew would only
    make it begin again.
    """
    full = seen.free < (ROOM_BYTES if past.full else FULL_BYTES)
    unwell = None if seen.well else now if past.unwell is None else past.unwell
    after = replace(past, unwell=unwell, was_well=past.was_well or seen.well, full=full)
    if full:
        return Step.WAIT, after
    if unwell is None:
        return Step.NONE, after
    patience = 0.0 if past.full or not seen.runs else _UNWELL_S if seen.answers else _SILENT_S
    if now - unwell < patience or now - past.started < _AGAIN_S:
        return Step.NONE, after
    if seen.runs and not (past.was_well or past.full):
        return Step.TELL, after
    return Step.START, Past(started=now)


class Tender:
    """Looks after a server that was started before; call `look` again and again. `say` tells the operator a line."""

    def __init__(
        self, server: EmbeddedServer, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server, self._say, self._clock = server, say, clock
        self._past = Past(started=clock(), was_well=True)
        self._next = 0.0
        self._told: dict[str, float] = {}

    def look(self) -> None:
        """Do what is to be done now; blocks while a server that is to be started anew stops, 20 s at most.

        Raises `OSError` where the folder itself is gone, and nothing else.
        """
        now = self._clock()
        runs = self._server.pid is not None
        if runs and now < self._next:
            return
        self._next = now + _LOOK_S
        seen = self._see(runs)
        past = self._past
        step, self._past = decide(past, seen, now)
        match step:
            case Step.WAIT:
                self._tell(
                    f"the disk of {self._server.folder} is full ({seen.free / 1e6:.0f} MB free): make room "
                    f"({ROOM_BYTES / 1e6:.0f} MB or more). Until then nothing new is stored; then all goes on by itself"
                )
            case Step.TELL:
                self._tell(f"nats-server is not well: {seen.trouble}")
            case Step.START if runs:
                self._start(f"nats-server is not well ({seen.trouble})")
            case Step.START:
                words = "" if past.was_well or past.full else f" while it started: {self._server.last_words()}"
                self._start(f"nats-server ended{words}")
            case Step.NONE:
                if seen.well and self._told:
                    self._say("all is well again")
                    self._told = {}

    def _see(self, runs: bool) -> Seen:
        free = free_bytes(self._server.folder)
        try:
            return Seen(runs, True, self._server.health(), free)
        except OSError as error:
            return Seen(runs, False, f"it does not answer: {error}", free)

    def _start(self, why: str) -> None:
        self._tell(f"{why}: starting it again")
        try:
            self._server.relaunch()
        except (SetupError, OSError) as error:
            self._tell(f"nats-server does not start: {error}")

    def _tell(self, line: str) -> None:
        """Say it, but not again before a minute has passed; figures in brackets make no other line of it."""
        now, what = self._clock(), line.partition("(")[0]
        if now - self._told.get(what, -_REMIND_S) >= _REMIND_S:
            self._told[what] = now
            self._say(line)
