"""What a dataset asks of its cells: something where it is required, and within its rules. Else they are flagged."""

from typing import assert_never

import polars as pl

from actors.catalogue.reading.findings import Findings, Said
from schemas.dataset import Dataset, OneOf, Pattern, Range, Rule
from schemas.errors import InvalidError

_MISSING = Said("필수 값이 비어 있습니다", "a value is required here, and the cell is empty")


def check(dataset: Dataset, rows: pl.DataFrame, texts: pl.DataFrame, numbers: pl.Series, findings: Findings) -> None:
    """Tells empty cells of required columns and of keys, and cells that break a rule; an empty cell breaks none.

    `texts` are the cells of `rows` as they came. Raises `InvalidError` where a pattern is no regular expression.
    """
    for column in dataset.columns:
        if (column.required or column.id in dataset.key) and column.id in texts.columns:
            at = rows[column.id].is_null()
            findings.rows("missing", "kept", column.id, numbers.filter(at), texts[column.id].filter(at), _MISSING)
    for rule in dataset.rules:
        if rule.column in texts.columns:
            _check(rule, rows[rule.column], texts[rule.column], numbers, findings)


def _check(rule: Rule, values: pl.Series, texts: pl.Series, numbers: pl.Series, findings: Findings) -> None:
    match rule:
        case Range(low=low, high=high):
            measured = values.cast(pl.Float64, strict=False)
            bad = (measured < (-float("inf") if low is None else low)) | (
                measured > (float("inf") if high is None else high)
            )
            bounds = f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}"
            said = Said(f"범위를 벗어났습니다: {bounds}", f"the value is out of range: {bounds}")
            findings.rows("range", "kept", rule.column, numbers.filter(bad), texts.filter(bad), said)
        case OneOf(values=allowed):
            bad = ~values.cast(pl.String).is_in(list(allowed))
            listed = ", ".join(allowed[:8]) + (", …" if len(allowed) > 8 else "")
            said = Said(f"목록에 없는 값입니다: {listed}", f"the value is none of: {listed}")
            findings.rows("value", "kept", rule.column, numbers.filter(bad), texts.filter(bad), said)
        case Pattern(pattern=pattern):
            try:
                bad = ~values.cast(pl.String).str.contains(f"^(?:{pattern})$")
            except pl.exceptions.ComputeError as error:
                raise InvalidError(f"the pattern of {rule.column!r} is no regular expression: {error}") from error
            said = Said(f"형식이 다릅니다: {pattern}", f"the text is not of the form {pattern}")
            findings.rows("pattern", "kept", rule.column, numbers.filter(bad), texts.filter(bad), said)
        case _ as never:
            assert_never(never)
