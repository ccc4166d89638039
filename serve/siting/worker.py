"""A process that solves one siting question: `python -m serve.siting.worker <MB> <s>`.

From its parent it reads a pickled list of problems, and writes the pickled solutions, each as it is found. Both ends
are ours: what strangers send has been checked before it becomes a problem, which is numbers alone.
"""

import pickle
import resource
import signal
import sys

from serve.siting.models import solve
from serve.siting.problem import Problem
from serve.statistics.worker import read, write


def main() -> None:
    """Solve, one model after the other."""
    most, seconds = int(sys.argv[1]) * 1_000_000, int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.alarm(seconds)
    if (asked := read(sys.stdin.buffer)) is None:
        return
    problems: list[Problem] = pickle.loads(asked)  # noqa: S301 - from our own parent
    for problem in problems:
        write(sys.stdout.buffer, pickle.dumps(solve(problem)))


if __name__ == "__main__":
    main()
