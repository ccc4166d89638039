"""The order of candidates of several models, written down once: searches and the list of a case's candidates use it.

Probabilities of calibrated models can be compared, so their candidates stand in one line, likeliest first. The cosine
of a model without a calibration can be compared with nothing but its own: its candidates stand in a line for
themselves. The lines are interleaved by rank: the first of each, then the second of each, and so on, the calibrated
line before the others. So no model pushes another's best candidates off the end of an answer.
"""

from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import Any, TypeVar

T = TypeVar("T")
_NONE: Any = object()


def interleaved(candidates: Iterable[T], line: Callable[[T], str | None], best_first: Callable[[T], Any]) -> list[T]:
    """All candidates in that order.

    `line` names the model of a candidate without a calibrated probability, and is None of every other; `best_first` is
    the key that sorts a line.
    """
    lines: dict[str, list[T]] = {"": []}
    for one in sorted(candidates, key=best_first):
        lines.setdefault(line(one) or "", []).append(one)
    ranks = zip_longest(*(lines[name] for name in sorted(lines)), fillvalue=_NONE)
    return [one for one in chain.from_iterable(ranks) if one is not _NONE]
