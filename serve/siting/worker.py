"""A process that solves one siting question: `python -m serve.siting.worker <MB> <s>`.

From its parent it reads a pickled list of problems, and writes the pickled solutions with how they compare, or why it
could not. Both ends are ours: what strangers send has been checked before it becomes a problem, which is numbers alone.
"""

import pickle
import sys

from serve.errand import begun
from serve.pipes import read, write
from serve.siting.compare import compared
from serve.siting.models import solve
from serve.siting.problem import Problem


def main() -> None:
    """Solve, one model after the other, and compare."""
    begun()
    if (asked := read(sys.stdin.buffer)) is None:
        return
    problems: list[Problem] = pickle.loads(asked)  # noqa: S301 - from our own parent
    solutions = []
    for problem in problems:
        try:
            solutions.append(solve(problem))
        except RuntimeError as error:  # HiGHS gave up: numbers that are too far from each other
            write(sys.stdout.buffer, pickle.dumps(f"{problem.model}: {error}"))
            return
    write(sys.stdout.buffer, pickle.dumps((solutions, compared(problems, solutions))))


if __name__ == "__main__":
    main()
