"""How commands speak: results on stdout, progress and errors on stderr, and exit codes that scripts can use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.errors import (
    AppendTimeoutError,
    BomnaeError,
    DivergenceError,
    LogGapError,
    LostLogError,
    ObjectError,
    SetupError,
    StorageFullError,
    TooManyRequestsError,
    UnavailableError,
)
from schemas.settings import Settings

FAILED, USAGE, UNAVAILABLE = 1, 2, 3
"""A check failed; the request or the set-up is wrong; a part of the city does not answer."""

_FAILED = (DivergenceError, LogGapError, LostLogError, ObjectError)
_UNAVAILABLE = (UnavailableError, StorageFullError, AppendTimeoutError, TooManyRequestsError)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def exit_code(error: BomnaeError) -> int:
    """The exit code of an error raised on purpose."""
    if isinstance(error, _FAILED):
        return FAILED
    return UNAVAILABLE if isinstance(error, _UNAVAILABLE) else USAGE


def settings_of(data: Path | None) -> Settings:
    """The settings from the environment, with the data folder named on the command line where one is.

    Raises `SetupError` that names the variable and what is wrong with it.
    """
    try:
        return Settings() if data is None else Settings(data=data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SetupError(f"BOMNAE_{name}: {first['msg']}; docs/settings.md lists all settings") from None


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress bars on stderr while they run; nothing at all where stderr is not a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not sys.stderr.isatty()) as bars:
        yield bars
