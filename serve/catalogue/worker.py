"""A process that reads what came for one dataset, and may die of it: `python -m serve.catalogue.worker <MB> <s>`.

Its input is a job: JSON behind its length, the number of parts, then each behind its length; its output is `0`, the
refresh as JSON, rows and findings, or `1` and why it cannot be read. Nothing here is unpickled.
"""

import sys

import orjson

from schemas.errors import BomnaeError
from serve.catalogue.taking import take, told, unpacked
from serve.errand import begun
from serve.pipes import DONE, FAILED, parts, write


def main() -> None:
    """Read one job and answer it."""
    begun()
    answer, (said, *rest) = sys.stdout.buffer, parts(sys.stdin.buffer)
    try:
        taken = take(unpacked(orjson.loads(said), rest))
    except MemoryError:
        raise
    except Exception as error:  # whatever a stranger's bytes provoke; other errors' words may hold cells
        reason = str(error) if isinstance(error, BomnaeError) else f"this cannot be read ({type(error).__name__})"
        answer.write(FAILED)
        write(answer, reason.encode(errors="replace"))
        return
    answer.write(DONE)
    for part in (told(taken), taken.rows, taken.listing):
        write(answer, part)


if __name__ == "__main__":
    main()
