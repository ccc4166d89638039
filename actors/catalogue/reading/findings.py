"""What is found in rows that come in: listed up to a bound, counted in full."""

from typing import NamedTuple

import polars as pl

from schemas.dataset import Action, FindingKind

LISTED = 1_000
"""Findings of one kind, column and action that are listed; all are counted."""
VALUE_LENGTH = 200
"""Characters of the original text that a finding keeps."""

FINDINGS = pl.Schema(
    {
        "row": pl.Int64,
        "column": pl.String,
        "kind": pl.String,
        "action": pl.String,
        "value": pl.String,
        "detail_ko": pl.String,
        "detail": pl.String,
    }
)
"""`row`: of the source, from 1, null for the whole file. `column`: an id, a header that no column has, or null."""
SUMMARY = pl.Schema({"kind": pl.String, "column": pl.String, "action": pl.String, "rows": pl.Int64})
"""How often each finding was made, listed or not."""


class Said(NamedTuple):
    """A sentence in Korean and English."""

    ko: str
    en: str


class Findings:
    """Gathers findings while a source is read."""

    def __init__(self, listed: int = LISTED) -> None:
        self._listed = listed
        self._counts: dict[tuple[FindingKind, str | None, Action], int] = {}
        self._frames: list[pl.DataFrame] = []

    def rows(
        self, kind: FindingKind, action: Action, column: str | None, rows: pl.Series, values: pl.Series, said: Said
    ) -> None:
        """Adds one finding for each of `rows` (numbers of the source), with the text that stands there."""
        if rows.is_empty():
            return
        key = (kind, column, action)
        before = self._counts.get(key, 0)
        self._counts[key] = before + len(rows)
        room = max(0, self._listed - before)
        if room:
            cut = values.head(room).cast(pl.String).str.slice(0, VALUE_LENGTH)
            self._frames.append(_frame(kind, action, column, rows.head(room), cut, said))

    def file(self, kind: FindingKind, action: Action, column: str | None, value: str | None, said: Said) -> None:
        """Adds a finding about the whole file or one of its columns."""
        self.rows(kind, action, column, pl.Series([None], dtype=pl.Int64), pl.Series([value], dtype=pl.String), said)

    def listing(self) -> pl.DataFrame:
        """The first of each kind, column and action (`FINDINGS`); those of the whole file come first, then by row."""
        listed = pl.concat(self._frames) if self._frames else pl.DataFrame(schema=FINDINGS)
        return listed.sort("row", nulls_last=False, maintain_order=True)

    def summary(self) -> pl.DataFrame:
        """All of them, counted (`SUMMARY`), the most frequent first."""
        counted = [(*key, rows) for key, rows in self._counts.items()]
        return pl.DataFrame(counted, schema=SUMMARY, orient="row").sort(
            "rows", "kind", "column", descending=[True, False, False]
        )


def _frame(
    kind: FindingKind, action: Action, column: str | None, rows: pl.Series, values: pl.Series, said: Said
) -> pl.DataFrame:
    return pl.DataFrame({"row": rows.cast(pl.Int64), "value": values}).select(
        "row",
        pl.lit(column, pl.String).alias("column"),
        pl.lit(kind).alias("kind"),
        pl.lit(action).alias("action"),
        "value",
        pl.lit(said.ko).alias("detail_ko"),
        pl.lit(said.en).alias("detail"),
    )
