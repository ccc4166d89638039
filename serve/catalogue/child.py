"""Runs `worker`: what a stranger sent is read in a process of its own, with limits of memory and time."""

import asyncio
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from schemas.catalogue import Refresh
from schemas.errors import InvalidError
from serve.catalogue.taking import Job, Taken, packed
from serve.statistics.worker import DONE, read, write

MEMORY_MB, SECONDS = 4_000, 300
_ROOT = Path(__file__).parents[2]


async def taken(job: Job, memory_mb: int = MEMORY_MB, seconds: int = SECONDS) -> Taken:
    """What `take` makes of a job. Raises `InvalidError` for what cannot be read, or takes too much memory or time."""
    said, parts = packed(job)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "serve.catalogue.worker", str(memory_mb), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_ROOT,
    )
    try:
        answer, _ = await process.communicate(_framed([orjson.dumps(said), *parts]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    pipe = io.BytesIO(answer)
    status = pipe.read(1)
    found: list[bytes] = []
    while (part := read(pipe)) is not None:
        found.append(part)
    if status == DONE and len(found) == 3:
        return Taken(Refresh.model_validate_json(found[0]), found[1], found[2])
    if status and status != DONE and found:
        raise InvalidError(found[0].decode())
    raise InvalidError(
        f"reading this took more than {memory_mb:,} MB or {seconds} s, or is damaged: bring it in parts, or as Parquet"
    )


def _framed(parts: Sequence[bytes]) -> bytes:
    sink = io.BytesIO()
    for part in parts:
        write(sink, part)
    return sink.getvalue()
