"""The files of a pack, one model per row; every error names file and line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from schemas.base import EntityId, Frozen, Name, Text
from schemas.errors import PackError
from schemas.facility import FacilityKind, Finite, Grade, Limit, Seconds, SensorKind
from schemas.road import Rank
from schemas.sighting import MAX_RETENTION_DAYS

F = TypeVar("F", bound=Frozen)


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone, such as Asia/Seoul")
    return str(ZoneInfo(name))


def _words(cell: object) -> object:
    return tuple(cell.split()) if isinstance(cell, str) else cell


def _points(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    points = [pair.split() for pair in cell.split(";")]
    if len(points) < 2 or any(len(pair) != 2 for pair in points):
        raise ValueError("a line is two or more points 'lon lat' with ';' between them")
    return tuple((float(lon), float(lat)) for lon, lat in points)


Code = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]
Lon = Annotated[float, Field(ge=-180, le=180)]
Lat = Annotated[float, Field(ge=-90, le=90)]
Line = Annotated[tuple[tuple[Lon, Lat], ...], BeforeValidator(_points)]

FacilityMarks = Annotated[tuple[Literal["watched", "name", "kind", "position", "grade"], ...], BeforeValidator(_words)]
"""Which facts of a facility are made up; `watched`: that it is one of those with sensors."""
RoadMarks = Annotated[tuple[Literal["name", "rank", "line"], ...], BeforeValidator(_words)]


CameraMarks = Annotated[tuple[Literal["camera", "name", "position"], ...], BeforeValidator(_words)]


class Boundaries(Frozen):
    """How to read the city's boundary file: the properties that hold code and name, and the credit to show."""

    code_property: Name
    name_property: Name
    attribution: Text


class Head(Frozen):
    """`pack.yaml`. `gateway` names who may send for all sensors of the pack.

    `bounds` are the city's west, south, east and north in degrees; `areas_dataset` is the dataset of its areas, whose
    shapes tell more exactly what lies in the city once they are there.
    """

    city: EntityId
    name_ko: Name
    name_en: Name
    timezone: Annotated[str, AfterValidator(_zone)]
    gateway: EntityId | None = None
    boundaries: Boundaries
    bounds: tuple[Lon, Lat, Lon, Lat] | None = None
    areas_dataset: EntityId | None = None


class Area(Frozen):
    """`areas.csv`: an administrative area with the code that `boundaries` files use."""

    code: Code
    name_ko: Name
    name_en: Name


class FacilityRow(Frozen):
    """`facilities.csv`. WGS84 degrees; `shops` counts the shops of a market."""

    facility: EntityId
    name_ko: Name
    name_en: Name
    kind: FacilityKind
    grade: Grade | None = None
    lon: Lon | None = None
    lat: Lat | None = None
    area: Code | None = None
    address: Name | None = None
    shops: Annotated[int, Field(ge=0)] | None = None
    synthetic: FacilityMarks = ()
    source: Text


class ProfileRow(Frozen):
    """`profiles.csv`: what a kind of instrument measures and can measure, and when its silence counts."""

    profile: EntityId
    kind: SensorKind
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    low: Finite | None = None
    high: Finite | None = None
    stale_after_s: Seconds | None = None


class LimitRow(Limit):
    """`limits.csv`: an alarm limit of a profile, with the source of its figures."""

    profile: EntityId
    source: Text


class SensorRow(Frozen):
    """`sensors.csv`. `synthetic` says `sensor` where no such instrument is known to hang there."""

    sensor: EntityId
    facility: EntityId
    profile: EntityId
    name_ko: Annotated[str, Field(max_length=120)] = ""
    synthetic: Literal["sensor"] | None = None


class RoadRow(Frozen):
    """`roads.csv`."""

    road: EntityId
    name_ko: Name
    name_en: Name
    rank: Rank
    synthetic: RoadMarks = ()
    source: Text


class SegmentRow(Frozen):
    """`segments.csv`: a stretch of a road, in driving order. Metres; `line` is WGS84, `lon lat; lon lat; …`."""

    segment: EntityId
    road: EntityId
    name_ko: Annotated[str, Field(max_length=120)] = ""
    length_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    line: Line = ()


class CameraRow(Frozen):
    """`cameras.csv`, which a pack need not have. Without `group`, cameras of an area are searched together."""

    camera: EntityId
    name_ko: Name
    name_en: Name
    lon: Lon
    lat: Lat
    area: Code | None = None
    group: EntityId | None = None
    retention_days: Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)] = MAX_RETENTION_DAYS
    silent_after_s: Annotated[int, Field(ge=10, le=86_400)] = 600
    synthetic: CameraMarks = ()
    source: Text


def refuse(path: Path, line: int, error: ValidationError) -> PackError:
    """The first violation of `error` as a `PackError`: `grade: Input should be 'A', 'B', …`."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][:1])
    reason = first["msg"].removeprefix("Value error, ")
    return PackError(path.name, line, f"{where}: {reason}" if where else reason)


def read_rows(path: Path, model: type[F]) -> Iterator[tuple[int, F]]:
    """The rows of a UTF-8 CSV file with their line numbers; empty cells count as absent.

    Raises `PackError` for a missing file or a row that breaks the model.
    """
    try:
        file = path.open(newline="", encoding="utf-8-sig")
    except FileNotFoundError:
        raise PackError(path.name, 0, f"a pack needs this file, and {path.parent} has none") from None
    with file:
        reader = csv.DictReader(file, strict=True)
        try:
            for row in reader:
                yield reader.line_num, _parse(path, reader.line_num, model, row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise PackError(path.name, reader.line_num + 1, f"not readable as UTF-8 CSV: {error}") from error


def _parse(path: Path, line: int, model: type[F], row: dict[str | Any, Any]) -> F:
    if None in row:
        raise PackError(path.name, line, "more cells than columns: quote a cell that holds a comma")
    try:
        return model.model_validate({name: cell.strip() for name, cell in row.items() if cell and cell.strip()})
    except ValidationError as error:
        raise refuse(path, line, error) from error


def read_head(path: Path) -> Head:
    """`pack.yaml`. Raises `PackError` with the line of the offending key."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, yaml.SafeLoader)
        return Head.model_validate(yaml.safe_load(text))
    except FileNotFoundError:
        raise PackError(path.name, 0, f"a pack needs this file, and {path.parent} has none") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PackError(path.name, line, f"not readable as YAML: {error.problem}") from error
    except ValidationError as error:
        raise refuse(path, _line(node, error.errors()[0]["loc"]), error) from error


def _line(node: yaml.Node | None, where: tuple[int | str, ...]) -> int:
    """The line of the deepest key on the way `where` that the file has."""
    line = 1
    for part in where:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
    return line
