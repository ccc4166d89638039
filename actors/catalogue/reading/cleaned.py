"""What cleaning a column gives, and the way from the plain to the odd."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl


class Cleaned(NamedTuple):
    """`values` of the column's kind, None where the text says none; `mended` where it was not said plainly."""

    values: pl.Series
    mended: pl.Series


def patched(text: pl.Series, plain: pl.Series, read: Callable[[pl.Series], pl.Series]) -> Cleaned:
    """`plain`, and where it has no value for a text, what `read` makes of it: few are odd, and they cost more."""
    odd = text.is_not_null() & plain.is_null()
    if not odd.any():
        return Cleaned(plain, odd)
    found = read(text.filter(odd))
    values = plain.scatter(odd.arg_true(), found)
    return Cleaned(values, odd & values.is_not_null())
