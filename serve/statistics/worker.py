"""A process that computes one query after the other: read from its input, answered on its output, until that ends.

`python -m serve.statistics.worker <megabytes> <seconds>`: more memory and time it does not get. A query is a serialised
`LazyFrame` behind its length; an answer one byte, `0` or `1`, then an Arrow stream or what Polars says, behind its own.
"""

import io
import resource
import signal
import sys

import polars as pl

from serve.pipes import DONE, FAILED, read, write


def answer(query: bytes) -> tuple[bytes, bytes]:
    """Compute; what Polars refuses is an answer too."""
    try:
        # From our own process alone: nobody else writes to this pipe.
        rows = pl.LazyFrame.deserialize(io.BytesIO(query)).collect(engine="streaming")
    except MemoryError:
        raise
    except Exception as error:  # whatever the files, the storage and Polars may raise
        return FAILED, str(error).encode()
    sink = io.BytesIO()
    rows.write_ipc_stream(sink)
    return DONE, sink.getvalue()


def main() -> None:
    """Answer until the input ends: whoever asked is gone."""
    most = int(sys.argv[1]) * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    while (query := read(asked)) is not None:
        signal.alarm(int(sys.argv[2]))  # should who asked be gone: it ends what is computed in any language
        status, data = answer(query)
        signal.alarm(0)
        told.write(status)
        write(told, data)


if __name__ == "__main__":
    main()
