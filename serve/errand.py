"""A process for one errand: it gets limits and input, answers, and ends, with whoever waits for it at the latest.

`run` sends it, `begun` is what its `main` begins with.
"""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from serve.pipes import framed

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
_PDEATHSIG = 1
"""`PR_SET_PDEATHSIG` of Linux: the signal that a process gets when its parent ends."""
_ROOT = Path(__file__).parents[1]

Gone = Callable[[], Awaitable[bool]]
"""Whether nobody waits any longer."""


async def run(
    module: str, parts: Sequence[bytes], memory_mb: int, seconds: int, gone: Gone | None = None
) -> bytes | None:
    """What `python -m module` answers, empty where it died; None where `gone`, and then nothing runs on."""
    asked = await asyncio.to_thread(framed, parts)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, str(memory_mb), str(seconds), str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_ROOT,
    )
    telling = asyncio.ensure_future(process.communicate(asked))
    try:
        while not telling.done():
            if gone is not None and await gone():
                return None
            await asyncio.wait([telling], timeout=None if gone is None else _LOOK_S)
        answer = telling.result()[0]
        if process.returncode:
            logger.warning("%s ended with %d", module, process.returncode)
        return answer
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.wait([telling])


def begun() -> None:
    """Limit this process to the megabytes and seconds that its arguments say, and to the life of its parent."""
    megabytes, seconds, parent = map(int, sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1_000_000, megabytes * 1_000_000))
    signal.alarm(seconds)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended before that
            sys.exit(1)
