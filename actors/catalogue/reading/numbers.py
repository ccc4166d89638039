"""Numbers as people write them into tables."""

import polars as pl

from actors.catalogue.reading.cleaned import Cleaned, patched

_JUNK = r"""[?'"`´‘’“”=*#]*"""
_NUMBER = (
    rf"^{_JUNK}\s*[₩$€¥]?\s*(?<number>[-+]?\s?(?:\d{{1,3}}(?:,\d{{3}})+|\d+)?(?:\.\d+)?)\s*"
    rf"(?<unit>(?:[\p{{L}}%‰°][\p{{L}}%‰°/·]*[23]?)?){_JUNK}$"
)
_MINUS = ["−", "–", "△", "▲"]
"""Signs that stand for a minus, △ and ▲ in Korean accounts."""
_MULTIPLES = r"^(?:[십백천만억조]|[kKMG]$)"
"""Units that are part of the number (`10만` is 100,000)."""
_SCALED = (
    *("mm", "cm", "m", "km", "m2", "km2", "ha", "m3", "ml", "l", "kl"),
    *("mg", "g", "kg", "t", "w", "kw", "mw", "wh", "kwh", "mwh"),
)
"""Units that are multiples of each other."""
_EXACT = 2.0**53
"""Whole numbers up to here are exact as floats."""


def numbers(text: pl.Series, unit: str = "") -> Cleaned:
    """Float64 of what is written as a number; None where it is none, or not finite.

    Mended is what has marks around it (`?127.718577`), thousands separators, wide digits, a sign of another kind (△ of
    Korean accounts) or a unit glued on. A unit that is a multiple of the column's (`350m` where it is km) or of the
    number itself (`10만`) is not guessed at.
    """
    plain = _finite(text.cast(pl.Float64, strict=False))
    return patched(text, plain, lambda odd: _read(odd, unit).cast(pl.Float64, strict=False))


def integers(text: pl.Series, unit: str = "") -> Cleaned:
    """Int64, as `numbers`; `12.0` is the whole number 12, `12.5` is none."""
    return patched(text, _integers(text), lambda odd: _integers(_read(odd, unit)))


def _integers(text: pl.Series) -> pl.Series:
    plain = text.cast(pl.Int64, strict=False)
    return plain.zip_with(plain.is_not_null(), _whole(_finite(text.cast(pl.Float64, strict=False))))


def _read(text: pl.Series, unit: str) -> pl.Series:
    """The digits, sign and point of odd texts, None where they are no number."""
    text = text.str.normalize("NFKC")
    wanted = pl.select(pl.lit(unit).str.normalize("NFKC")).item()
    parts = (
        text.str.replace_many(_MINUS, ["-"] * len(_MINUS)).str.strip_chars().str.extract_groups(_NUMBER).struct.unnest()
    )
    found = pl.col("unit")
    other = (
        found.str.to_lowercase().is_in(_SCALED) & (found.str.to_lowercase() != wanted.lower())
        if wanted.lower() in _SCALED
        else pl.lit(False)
    )
    refused = (found != wanted) & (other | found.str.contains(_MULTIPLES))
    digits = pl.col("number").str.replace_all(r"[,\s]", "")
    return parts.select(pl.when(~refused & digits.str.contains(r"\d")).then(digits)).to_series()


def _whole(values: pl.Series) -> pl.Series:
    whole = (values == values.floor()) & (values.abs() <= _EXACT)
    return values.set(~whole.fill_null(False), None).cast(pl.Int64)


def _finite(values: pl.Series) -> pl.Series:
    return values.set(~values.is_finite().fill_null(True), None)
