"""A process for one errand: it gets limits and input, answers, and ends, with whoever waits for it at the latest.

`run` sends it, `begun` is what its `main` begins with.
"""

import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from serve.pipes import framed

_LOOK_S = 0.1
_ROOT = Path(__file__).parents[1]

Gone = Callable[[], Awaitable[bool]]
"""Whether nobody waits any longer."""


async def run(
    module: str, parts: Sequence[bytes], memory_mb: int, seconds: int, gone: Gone | None = None
) -> bytes | None:
    """What `python -m module` answers, empty where it died; None where `gone`, and then nothing runs on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, str(memory_mb), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_ROOT,
    )
    telling = asyncio.ensure_future(process.communicate(await asyncio.to_thread(framed, parts)))
    try:
        while not telling.done():
            if gone is not None and await gone():
                return None
            await asyncio.wait([telling], timeout=_LOOK_S)
        return telling.result()[0]
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.wait([telling])


def begun() -> None:
    """Limit this process to the megabytes and seconds that its arguments say."""
    most = int(sys.argv[1]) * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.alarm(int(sys.argv[2]))
