"""`bomnae down`: ask the process that runs an instance to drain and stop."""

import fcntl
import os
import signal
import time
from pathlib import Path

from schemas.errors import SetupError, UnavailableError

_PAUSE_S = 0.1


def owner(folder: Path) -> int | None:
    """Process id of the running instance of this folder, or None. Never an id that a dead owner left behind."""
    try:
        with (folder / "lock").open("r") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SetupError(f"{folder / 'lock'} is held but names no process: the instance is just starting") from error
    return None


def down(folder: Path, timeout_s: float) -> str:
    """Stop the instance of a folder and wait until the folder is free; a sentence that says what was done.

    Raises `SetupError` where the instance belongs to another user, `UnavailableError` when it has not left in time.
    """
    if (pid := owner(folder)) is None:
        return f"no instance runs on {folder}"
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise SetupError(f"process {pid} runs {folder} as another user: stop it as that user") from None
    deadline = time.monotonic() + timeout_s
    while owner(folder) == pid:
        if time.monotonic() > deadline:
            raise UnavailableError(f"process {pid} has not stopped within {timeout_s:.0f} s: see its terminal")
        time.sleep(_PAUSE_S)
    return f"stopped; the data stays in {folder}"
