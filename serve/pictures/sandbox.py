"""A process that decodes untrusted pictures and can die alone: bounded memory and CPU, killed when late, replaced."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidError, UnavailableError
from serve.pictures.child import read_frame, write_frame

Pixels = NDArray[np.uint8]
"""Height x width x 3, BGR."""

_ROOT = Path(__file__).parents[2]
_STARTED_S = 60.0
_ENDED_S = 5.0
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_CAPTURE_OPTIONS": "threads;1"}
"""Threads of libraries would take the address space that pictures need."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may cost. Sides longer than `longest` are made smaller; 3840 is that of eight megapixels.

    50 megapixels decode in about 0.6 GB of address space; the process itself takes about 0.4 GB of it.
    """

    bytes: int = 16_000_000
    pixels: int = 50_000_000
    longest: int = 3_840
    memory_mb: int = 1_536
    cpu_s: int = 10
    seconds: float = 10.0


class Sandbox:
    """One child process, started when first needed. Threads may share it: they take turns."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child that runs now."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ask(self, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """The child's answer.

        Raises `InvalidError` where the input is bad or the child died of it or overran `seconds`; the next request
        gets a new child. Raises `UnavailableError` where no child can be started.
        """
        with self._lock:
            process = self._running()
            with _watched(process, self.limits.seconds) as late:
                answer = _exchange(process, request, data)
            if answer is None:
                self._end()
                limit = f"took longer than {self.limits.seconds:g} s"
                why = limit if late.is_set() else "ended the process that decodes"
                raise InvalidError(f"the picture cannot be read: it {why}")
        if error := answer[0].get("error"):
            raise InvalidError(f"the picture cannot be read: {error}")
        return answer

    def pixels(self, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], Pixels | None]:
        """The answer with its picture, as large as it says; None where the answer holds none. Raises as `ask`."""
        said, raw = self.ask({**request, "longest": self.limits.longest}, data)
        if not raw:
            return said, None
        width, height = int(said["width"]), int(said["height"])
        if len(raw) != width * height * 3 or max(width, height) > self.limits.longest:
            self.close()
            raise InvalidError("the picture cannot be read: it confused the process that decodes")
        return said, np.frombuffer(raw, np.uint8).reshape(height, width, 3)

    def close(self) -> None:
        """End the child. The sandbox can be used again."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            limits = (str(self.limits.memory_mb), str(self.limits.cpu_s))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module, no input in the arguments
                    [sys.executable, "-m", "serve.pictures.child", *limits],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd=_ROOT,
                    env=_ENVIRONMENT,
                )
                with _watched(self._process, _STARTED_S):
                    ready = read_frame(cast("BinaryIO", self._process.stdout))
            except OSError as error:
                raise UnavailableError("the process that decodes pictures does not start", retry_after_s=5) from error
            if ready is None:
                self._end()
                raise UnavailableError("the process that decodes pictures ends at its start", retry_after_s=5)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(_ENDED_S)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):  # what could not be written any more
                    pipe.close()


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any], data: bytes
) -> tuple[dict[str, Any], bytes] | None:
    """The answer; None where the child is gone or speaks nonsense."""
    pipes = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    try:
        write_frame(pipes[0], request, data)
        return read_frame(pipes[1])
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _watched(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill the process after some seconds, which ends all reading from it and writing to it, and set the event."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    watchdog = threading.Timer(seconds, kill)
    watchdog.start()
    try:
        yield late
    finally:
        watchdog.cancel()
