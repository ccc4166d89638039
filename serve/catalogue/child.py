"""Runs `worker`: what a stranger sent is read in a process of its own, with limits of memory and time."""

import orjson

from schemas.catalogue import Refresh
from schemas.errors import InvalidError
from serve.catalogue.taking import Job, Taken, packed
from serve.errand import run
from serve.pipes import DONE, answered

MEMORY_MB, SECONDS = 4_000, 300


class UnreadError(InvalidError):
    """The process that read it died: of what it read, or of something else."""


async def taken(job: Job, memory_mb: int = MEMORY_MB, seconds: int = SECONDS) -> Taken:
    """What `take` makes of a job.

    Raises `InvalidError` for what cannot be read, `UnreadError` for what takes too much memory or time.
    """
    said, parts = packed(job)
    answer = await run("serve.catalogue.worker", [orjson.dumps(said), *parts], memory_mb, seconds)
    status, found = answered(answer or b"")
    if status == DONE and len(found) == 3:
        return Taken(Refresh.model_validate_json(found[0]), found[1], found[2])
    if status and status != DONE and found:
        raise InvalidError(found[0].decode())
    raise UnreadError(
        f"reading this took more than {memory_mb:,} MB or {seconds} s, or is damaged: bring it in parts, or as Parquet"
    )
