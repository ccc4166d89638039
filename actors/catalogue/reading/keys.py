"""Rows that come again: of each key one row counts."""

import polars as pl

from actors.catalogue.reading.findings import Findings, Said
from schemas.dataset import Dataset

_EMPTY_KEY = Said(
    "키가 비어 있어 바꿔 쓸 행을 알 수 없습니다", "the key is empty: which row this one replaces is unknown"
)
_REPEATED = Said("앞에 나온 행과 같습니다", "the same row came before")
_CONFLICTING = Said("같은 키의 다른 행이 대신 쓰입니다", "another row of this key counts instead")


def kept(dataset: Dataset, rows: pl.DataFrame, numbers: pl.Series, findings: Findings) -> pl.Series:
    """Which rows load (Boolean). Without a key all do.

    Compared are the cells that load: a column that is not declared does not make rows differ. Of rows of one key that
    differ the later one counts, or that with the greatest value of `Dataset.newest`; of those that are the same, the
    first. A part of a key may be empty. Where all of it is, the row stands for itself, and is dropped where
    rows would replace those of their key (`upsert`).
    """
    everything = pl.repeat(True, len(rows), dtype=pl.Boolean, eager=True)
    if not dataset.key or rows.is_empty():
        return everything
    key = list(dataset.key)
    order = [] if dataset.newest is None else [pl.col(dataset.newest)]
    frame = rows.select(
        pl.any_horizontal(pl.col(key).is_not_null()).alias("named"),
        *(pl.col(name).alias(f"key{place}") for place, name in enumerate(key)),
        *(one.alias("newest") for one in order),
    ).with_columns(rows.hash_rows().alias("words"), pl.int_range(pl.len(), dtype=pl.Int64).alias("place"))
    parts = [name for name in frame.columns if name.startswith("key")]
    named = frame.filter("named")
    sorted_ = named.sort("newest", nulls_last=False, maintain_order=True) if order else named
    counting = sorted_.unique(parts, keep="last", maintain_order=True).select(*parts, pl.col("words").alias("counts"))
    judged = named.join(counting, on=parts, how="left", nulls_equal=True, maintain_order="left").with_columns(
        (pl.col("words") == pl.col("counts")).alias("same"),
        pl.struct(*parts, "words").is_first_distinct().alias("first"),
    )
    texts = rows.select(pl.concat_str(pl.col(key).cast(pl.String), separator=" · ", ignore_nulls=True)).to_series()
    drop = ~everything
    for kind, said, chosen in (
        ("repeated", _REPEATED, judged.filter(pl.col("same") & ~pl.col("first"))),
        ("conflicting", _CONFLICTING, judged.filter(~pl.col("same"))),
    ):
        places = chosen["place"]
        findings.rows(kind, "dropped", _name(dataset), numbers[places], texts[places], said)  # type: ignore[arg-type]
        drop = drop.scatter(places, True)
    if dataset.mode == "upsert":
        nameless = ~frame["named"]
        findings.rows(
            "missing", "dropped", _name(dataset), numbers.filter(nameless), texts.filter(nameless), _EMPTY_KEY
        )
        drop |= nameless
    return ~drop


def _name(dataset: Dataset) -> str | None:
    return dataset.key[0] if len(dataset.key) == 1 else None
