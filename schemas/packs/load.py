"""Reading a city pack: its tables and a head, checked against each other."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from schemas.base import Frozen
from schemas.errors import PackError
from schemas.facility import FacilityFacts, Limit, Position, SensorFacts
from schemas.packs.datasets import load_datasets
from schemas.packs.pack import Pack, PackCamera, PackFacility, PackRoad, PackSensor
from schemas.packs.rows import (
    Area,
    CameraRow,
    FacilityRow,
    Head,
    LimitRow,
    ProfileRow,
    RoadRow,
    SegmentRow,
    SensorRow,
    read_head,
    read_rows,
)
from schemas.road import RoadFacts, SegmentFacts
from schemas.sighting import CameraFacts

BUNDLED = Path(__file__).parent
R = TypeVar("R", bound=Frozen)


def load_pack(where: str | Path) -> Pack:
    """The pack in a folder, or the bundled one of that name (`chuncheon`).

    Raises `PackError` with file and line for the first violation: a value out of range, an unknown kind, an id used
    twice, a reference to nothing, limits in the wrong order.
    """
    folder = _folder(where)
    head = read_head(folder / "pack.yaml")
    areas = _table(folder / "areas.csv", Area, lambda row: row.code)
    facilities = _table(folder / "facilities.csv", FacilityRow, lambda row: row.facility)
    sensors = _table(folder / "sensors.csv", SensorRow, lambda row: row.sensor)
    facilities.refer("area", areas.rows, lambda row: row.area)
    sensors.refer("facility", facilities.rows, lambda row: row.facility)
    return Pack(
        head=head,
        areas=tuple(areas.rows.values()),
        facilities=tuple(_facility(line, row) for line, row in facilities),
        sensors=_sensors(sensors, _profiles(folder), head),
        roads=_roads(folder),
        cameras=_cameras(folder, areas, head),
        datasets=load_datasets(folder / "datasets"),
    )


def head_of(where: str | Path) -> Head:
    """The head of a pack alone. Raises `PackError`."""
    return read_head(_folder(where) / "pack.yaml")


def _folder(where: str | Path) -> Path:
    return BUNDLED / where if isinstance(where, str) and (BUNDLED / where / "pack.yaml").is_file() else Path(where)


@dataclass(frozen=True, slots=True)
class _Table(Generic[R]):
    path: Path
    rows: dict[str, R]
    lines: dict[str, int]

    def __iter__(self) -> Iterator[tuple[int, R]]:
        return ((self.lines[key], row) for key, row in self.rows.items())

    def refer(self, column: str, known: Container[str], value: Callable[[R], str | None]) -> None:
        """Check that `value` of every row, where it has one, is `known`."""
        for line, row in self:
            if (target := value(row)) is not None and target not in known:
                raise PackError(self.path.name, line, f"{column}: there is no {column} {target!r} in this pack")


def _table(path: Path, model: type[R], key: Callable[[R], str]) -> _Table[R]:
    rows: dict[str, R] = {}
    lines: dict[str, int] = {}
    for line, row in read_rows(path, model):
        if (name := key(row)) in rows:
            raise PackError(path.name, line, f"{name!r} stands in line {lines[name]} already")
        rows[name], lines[name] = row, line
    return _Table(path, rows, lines)


def _facility(line: int, row: FacilityRow) -> PackFacility:
    if (row.lon is None) != (row.lat is None):
        raise PackError("facilities.csv", line, "lon, lat: a position needs both, or neither")
    position = None
    if row.lon is not None and row.lat is not None:
        position = Position(lon=row.lon, lat=row.lat, synthetic="position" in row.synthetic)
    facts = FacilityFacts(
        name_ko=row.name_ko,
        name_en=row.name_en,
        kind=row.kind,
        grade=row.grade,
        position=position,
        area=row.area or "",
        synthetic=bool(set(row.synthetic) - {"position"}),
    )
    return PackFacility(id=row.facility, facts=facts, address=row.address, shops=row.shops)


@dataclass(frozen=True, slots=True)
class _Profile:
    row: ProfileRow
    limits: tuple[Limit, ...]


def _profiles(folder: Path) -> dict[str, _Profile]:
    profiles = _table(folder / "profiles.csv", ProfileRow, lambda row: row.profile)
    limits = _table(folder / "limits.csv", LimitRow, lambda row: f"{row.profile} {row.condition} {row.level}")
    limits.refer("profile", profiles.rows, lambda row: row.profile)
    for key, row in limits.rows.items():
        danger = limits.rows.get(f"{row.profile} {row.condition} danger")
        if danger is not None and ((danger.on < row.on) if row.condition != "low" else (danger.on > row.on)):
            raise PackError("limits.csv", limits.lines[key], "on: a warning must come before its danger")
    own: dict[str, list[Limit]] = {name: [] for name in profiles.rows}
    for row in limits.rows.values():
        own[row.profile].append(Limit.model_validate(row.model_dump(exclude={"profile", "source"})))
    return {name: _Profile(row, tuple(own[name])) for name, row in profiles.rows.items()}


def _sensors(table: _Table[SensorRow], profiles: dict[str, _Profile], head: Head) -> tuple[PackSensor, ...]:
    table.refer("profile", profiles, lambda row: row.profile)
    sensors = []
    for row in table.rows.values():
        profile = profiles[row.profile]
        facts = SensorFacts(
            **profile.row.model_dump(exclude={"profile"}),
            limits=profile.limits,
            name_ko=row.name_ko,
            gateway=head.gateway,
            synthetic=row.synthetic is not None,
        )
        sensors.append(PackSensor(id=row.sensor, facility=row.facility, facts=facts))
    return tuple(sensors)


def _cameras(folder: Path, areas: _Table[Area], head: Head) -> tuple[PackCamera, ...]:
    path = folder / "cameras.csv"
    if not path.exists():
        return ()
    table = _table(path, CameraRow, lambda row: row.camera)
    table.refer("area", areas.rows, lambda row: row.area)
    return tuple(PackCamera(id=row.camera, facts=_camera(row, head)) for row in table.rows.values())


def _camera(row: CameraRow, head: Head) -> CameraFacts:
    return CameraFacts(
        name_ko=row.name_ko,
        name_en=row.name_en,
        position=Position(lon=row.lon, lat=row.lat, synthetic="position" in row.synthetic),
        area=row.area or "",
        group=row.group or (f"area-{row.area}" if row.area else "city"),
        gateway=head.gateway,
        retention_days=row.retention_days,
        silent_after_s=row.silent_after_s,
        synthetic=bool(set(row.synthetic) - {"position"}),
    )


def _roads(folder: Path) -> tuple[PackRoad, ...]:
    roads = _table(folder / "roads.csv", RoadRow, lambda row: row.road)
    segments = _table(folder / "segments.csv", SegmentRow, lambda row: row.segment)
    segments.refer("road", roads.rows, lambda row: row.road)
    own: dict[str, list[SegmentFacts]] = {road: [] for road in roads.rows}
    for row in segments.rows.values():
        own[row.road].append(SegmentFacts.model_validate(row.model_dump(exclude={"road"})))
    packed = []
    for line, road in roads:
        if not own[road.road]:
            raise PackError(roads.path.name, line, f"road: {road.road!r} has no segment in segments.csv")
        facts = RoadFacts(
            name_ko=road.name_ko,
            name_en=road.name_en,
            rank=road.rank,
            segments=tuple(own[road.road]),
            synthetic=bool(road.synthetic),
        )
        packed.append(PackRoad(id=road.road, facts=facts))
    return tuple(packed)
