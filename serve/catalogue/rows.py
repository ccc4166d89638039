"""Which rows of a dataset somebody sees: first what may be seen at all, then what is asked for."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from actors.catalogue.reading.cells import TYPES
from schemas.dataset import Audience, Column, Dataset, Points, Shapes
from schemas.errors import InvalidError
from serve.boxes import Bbox
from serve.reading import QueryTime

_CONDITION = re.compile(r"([a-z][a-z0-9_]*)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_TRUTH = {"true": True, "false": False}
_COMPARED: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": pl.Expr.eq,
    "!=": pl.Expr.ne_missing,
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
}
_MOMENT: TypeAdapter[Any] = TypeAdapter(QueryTime)
_BOUNDS = ("_west", "_south", "_east", "_north")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `where` are conditions such as `lamps>=2`; `sort` names columns, `-` before one turns it."""

    where: Sequence[str] = ()
    select: Sequence[str] = ()
    sort: Sequence[str] = ()
    bbox: Bbox | None = None


def conformed(rows: pl.DataFrame, facts: Dataset) -> pl.DataFrame:
    """Rows that were read under another declaration, in the columns of this one: its own and those of its places.

    A column that they lack is empty, as are cells that are not of its kind; without any column there are no rows.
    """
    kinds = _schema(facts)
    if not rows.columns:
        return pl.DataFrame(schema=kinds)
    if all(rows.schema.get(name) == kind for name, kind in kinds.items()):
        return rows
    columns = [_of_kind(rows, name, kind).alias(name) for name, kind in kinds.items()]
    return rows.with_columns(columns).select(*kinds)


def _schema(facts: Dataset) -> dict[str, pl.DataType]:
    kinds = {one.id: TYPES[one.kind] for one in facts.columns}
    match facts.geometry:
        case Points():
            kinds |= dict.fromkeys(("_lon", "_lat"), pl.Float64())
        case Shapes():
            kinds |= {"_wkt": pl.String(), **dict.fromkeys(_BOUNDS, pl.Float64())}
        case _:
            pass
    return kinds | {"_row": pl.Int64()}


def _of_kind(rows: pl.DataFrame, name: str, kind: pl.DataType) -> pl.Expr:
    found = rows.schema.get(name)
    if found == kind:
        return pl.col(name)
    readable = found is not None and (
        kind == pl.String or (kind.is_numeric() and (found == pl.String or found.is_numeric()))
    )
    return pl.col(name).cast(kind, strict=False) if readable else pl.lit(None, kind)


def hidden(facts: Dataset, audience: Audience) -> tuple[str, ...]:
    """The columns that an audience does not see the values of."""
    return tuple(one.id for one in facts.columns if one.personal == "mask") if audience == "citizen" else ()


def visible(rows: pl.DataFrame, facts: Dataset, audience: Audience) -> pl.DataFrame:
    """All rows with what an audience may see of them, and how they lie; before anything is asked of them.

    From citizens, `mask` columns are empty, and the values of `group` columns too in every row of which fewer than `k`
    share them: so no filter, order or total tells of one row. A place is masked with the columns that it is made of.
    """
    if audience != "citizen":
        return rows
    masked = set(hidden(facts, audience))
    grouped = [one.id for one in facts.columns if one.personal == "group"]
    few = (pl.len().over(grouped) < facts.k) if grouped else pl.lit(value=False)
    changed = [pl.lit(None).cast(rows.schema[name]).alias(name) for name in masked if name in rows.columns]
    changed += [pl.when(few).then(None).otherwise(pl.col(name)).alias(name) for name in grouped]
    place = {"_lon", "_lat", "_wkt", *_BOUNDS} & set(rows.columns)
    made_of = set(_made_of(facts))
    if made_of & masked:
        changed += [pl.lit(None).cast(rows.schema[name]).alias(name) for name in place]
    elif made_of & set(grouped):
        changed += [pl.when(few).then(None).otherwise(pl.col(name)).alias(name) for name in place]
    return rows.with_columns(changed)


def picked(rows: pl.DataFrame, facts: Dataset, asked: Asked) -> pl.DataFrame:
    """The rows that are asked for, in their order, with the columns that say where they lie.

    Raises `InvalidError` for a column that there is not, or a value that is not of its kind.
    """
    conditions = [_condition(facts, one) for one in asked.where]
    if asked.bbox is not None:
        conditions.append(_inside(facts, rows, asked.bbox))
    if conditions:
        rows = rows.filter(conditions)
    if asked.sort:
        names = [_column(facts, one.removeprefix("-")).id for one in asked.sort]
        turned = [one.startswith("-") for one in asked.sort]
        rows = rows.sort(names, descending=turned, nulls_last=True, maintain_order=True)
    return rows


def selected(facts: Dataset, asked: Asked) -> list[str]:
    """The columns to show, in the order asked for. Raises `InvalidError` for one that there is not."""
    return [_column(facts, one).id for one in dict.fromkeys(asked.select)] or [one.id for one in facts.columns]


def _made_of(facts: Dataset) -> tuple[str, ...]:
    match facts.geometry:
        case Points(x=x, y=y):
            return x, y
        case Shapes(column=column):
            return (column,)
        case _:
            return ()


def _column(facts: Dataset, name: str) -> Column:
    try:
        return facts.column(name)
    except KeyError:
        raise InvalidError(f"there is no column {name!r}: there are {', '.join(c.id for c in facts.columns)}") from None


def _condition(facts: Dataset, said: str) -> pl.Expr:
    if (found := _CONDITION.fullmatch(said)) is None:
        raise InvalidError(f"{said!r} is no condition: write column, one of = != < <= > >= ~, and a value")
    name, operator, text = found.groups()
    column = _column(facts, name)
    values = pl.col(name)
    if operator == "~":
        if column.kind != "text":
            raise InvalidError(f"{name} is no text: ~ looks for a part of one")
        return values.str.to_lowercase().str.contains(text.lower(), literal=True).fill_null(value=False)
    if not text and operator in {"=", "!="}:
        empty = values.is_null() | (values == "") if column.kind == "text" else values.is_null()
        return empty if operator == "=" else ~empty
    return _COMPARED[operator](values, pl.lit(_value(column, text)))


def _value(column: Column, text: str) -> Any:
    try:
        match column.kind:
            case "integer":
                if abs(value := int(text)) >= 2**63:
                    raise OverflowError
                return value
            case "number":
                return float(text)
            case "boolean":
                return _TRUTH[text.lower()]
            case "date":
                return date.fromisoformat(text)
            case "time":
                return _MOMENT.validate_python(text)
            case _:
                return text
    except (ValueError, KeyError, OverflowError):
        raise InvalidError(f"{text!r} is no value of {column.id}, which holds a {column.kind}") from None


def _inside(facts: Dataset, rows: pl.DataFrame, box: Bbox) -> pl.Expr:
    west, south, east, north = box
    if isinstance(facts.geometry, Points) and "_lon" in rows.columns:
        inside = pl.col("_lon").is_between(west, east) & pl.col("_lat").is_between(south, north)
        return inside.fill_null(value=False)
    if isinstance(facts.geometry, Shapes) and "_west" in rows.columns:
        across = (pl.col("_west") <= east) & (pl.col("_east") >= west)
        return (across & (pl.col("_south") <= north) & (pl.col("_north") >= south)).fill_null(value=False)
    raise InvalidError("this dataset has no places: leave bbox out")
