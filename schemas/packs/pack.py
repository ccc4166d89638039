"""A city pack in memory: what it says, as commands that make a city know it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from schemas.base import Command, EntityId, Frozen
from schemas.catalogue import RegisterDataset
from schemas.dataset import Dataset
from schemas.errors import PackError
from schemas.facility import FacilityFacts, RegisterFacility, RegisterSensor, SensorFacts
from schemas.packs.rows import Area, Boundaries, Head
from schemas.road import RegisterRoad, RoadFacts
from schemas.sighting import CameraFacts, RegisterCamera


class PackFacility(Frozen):
    """A facility of the pack. `shops` counts the shops of a market."""

    id: EntityId
    facts: FacilityFacts
    address: str | None = None
    shops: int | None = None


class PackSensor(Frozen):
    """A sensor of the pack, hung at `facility`."""

    id: EntityId
    facility: EntityId
    facts: SensorFacts


class PackRoad(Frozen):
    """A road of the pack with its segments."""

    id: EntityId
    facts: RoadFacts


class PackCamera(Frozen):
    """A camera of the pack."""

    id: EntityId
    facts: CameraFacts


@dataclass(frozen=True, slots=True)
class Polygons:
    """Areas by code as GeoJSON geometries (WGS84), and the `attribution` that must show wherever they do."""

    attribution: str
    areas: dict[str, dict[str, Any]]


class Pack(Frozen):
    """Everything that a pack says; `schemas.packs.load.load_pack` reads and checks it."""

    head: Head
    areas: tuple[Area, ...]
    facilities: tuple[PackFacility, ...]
    sensors: tuple[PackSensor, ...]
    roads: tuple[PackRoad, ...]
    cameras: tuple[PackCamera, ...] = ()
    datasets: dict[str, Dataset] = Field(default_factory=dict)

    def commands(self, at: datetime, by: str) -> list[Command]:
        """What makes a city know this pack, facilities before their sensors.

        Deciders answer a registration that changes nothing with no event, so sending all of it again is safe, and
        after a change of the pack only the difference becomes events.
        """
        return [
            *(RegisterFacility(at=at, by=by, facility=one.id, facts=one.facts) for one in self.facilities),
            *(
                RegisterSensor(at=at, by=by, facility=one.facility, sensor=one.id, facts=one.facts)
                for one in self.sensors
            ),
            *(RegisterRoad(at=at, by=by, road=one.id, facts=one.facts) for one in self.roads),
            *(RegisterCamera(at=at, by=by, camera=one.id, facts=one.facts) for one in self.cameras),
            *(
                RegisterDataset(at=at, by=by, dataset=name, facts=facts, seed=True)
                for name, facts in self.datasets.items()
            ),
        ]

    def polygons(self, path: Path) -> Polygons:
        """The boundaries of the pack's areas from a GeoJSON file, which stays where it is.

        Raises `PackError` when the file is not such a collection or lacks an area of the pack.
        """
        return read_polygons(path, self.head.boundaries, self.areas)


def read_polygons(path: Path, boundaries: Boundaries, areas: tuple[Area, ...]) -> Polygons:
    """As `Pack.polygons`; areas of the file that are not of `areas` are left out."""
    try:
        features = orjson.loads(path.read_bytes())["features"]
        found = {one["properties"][boundaries.code_property]: one["geometry"] for one in features}
    except FileNotFoundError:
        raise PackError(str(path), 0, "there is no such boundary file") from None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        reason = f"not a GeoJSON feature collection with the property {boundaries.code_property!r}: {error}"
        raise PackError(str(path), 1, reason) from error
    if missing := [area for area in areas if area.code not in found]:
        names = ", ".join(f"{area.code} {area.name_ko}" for area in missing)
        raise PackError(str(path), 1, f"holds no polygon for {names}")
    return Polygons(boundaries.attribution, {area.code: found[area.code] for area in areas})
