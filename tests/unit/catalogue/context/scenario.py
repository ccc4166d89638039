"""given(...).when(...).then(...) over the catalogue context, and commands to speak with. All of it is synthetic."""

from datetime import UTC, datetime, timedelta
from typing import Any

from actors.catalogue.context import CatalogueContext
from actors.catalogue.state import Known, State
from schemas.base import Command, micros
from schemas.catalogue import (
    RecordFailure,
    RecordRefresh,
    RecordUnchanged,
    Refresh,
    RegisterDataset,
    RetireDataset,
    ThinVersions,
)
from schemas.dataset import FromCity, FromHttp
from tests.unit import scenario
from tests.unit.catalogue.entries import facts

CONTEXT = CatalogueContext()
NOON = datetime(2026, 1, 15, 3, tzinfo=UTC)
"""In Seoul, on 15 January."""
MIDNIGHT = NOON + timedelta(hours=12)
"""The beginning of 16 January in Seoul."""
TICK = timedelta(microseconds=1)
A, B, C, D = "a" * 64, "b" * 64, "c" * 64, "d" * 64
STOPS, SHELTERS = "bus-stops", "shelters"
HTTP = FromHttp(format="json", url="https://stops.example/list")
CITY = FromCity(table="road.segments")


def at(minutes: float = 0, dataset: str = STOPS, by: str = "operator") -> dict[str, Any]:
    return {"at": NOON + timedelta(minutes=minutes), "by": by, "dataset": dataset}


def register(minutes: float = 0, dataset: str = STOPS, by: str = "operator", **more: Any) -> RegisterDataset:
    return RegisterDataset(**at(minutes, dataset, by), facts=facts(**more))


def seed(minutes: float = 0, dataset: str = STOPS, **more: Any) -> RegisterDataset:
    """What a pack says."""
    return RegisterDataset(**at(minutes, dataset, "pack"), facts=facts(**more), seed=True)


def connected(minutes: float = 0, dataset: str = STOPS, interval_s: int = 3_600, **more: Any) -> RegisterDataset:
    return register(minutes, dataset, **{"connector": HTTP, "interval_s": interval_s, **more})


def brought(version: str = A, **more: Any) -> Refresh:
    known = {
        "token": "01234567",
        "rows": 2,
        "received": 3,
        "dropped": 1,
        "bytes": 900,
        "header": ("name",),
        "schema_digest": "0" * 64,
        "completeness": 0.75,
        "source": "https://stops.example/list",
        "mark": f"etag-{version[0]}",
        "took_s": 0.5,
        **more,
    }
    return Refresh(version=version, **known)


def refresh(minutes: float = 1, version: str = A, dataset: str = STOPS, **more: Any) -> RecordRefresh:
    return RecordRefresh(**at(minutes, dataset, "datasets"), refresh=brought(version, **more))


def unchanged(minutes: float = 2, dataset: str = STOPS) -> RecordUnchanged:
    return RecordUnchanged(**at(minutes, dataset, "datasets"))


def failed(minutes: float = 2, reason: str = "503", dataset: str = STOPS) -> RecordFailure:
    return RecordFailure(**at(minutes, dataset, "datasets"), reason=reason)


def thin(minutes: float, days: int = 90, dataset: str = STOPS) -> ThinVersions:
    return ThinVersions(**at(minutes, dataset, "datasets"), days=days)


def retire(minutes: float = 9, dataset: str = STOPS, superseded_by: str | None = None) -> RetireDataset:
    return RetireDataset(**at(minutes, dataset), reason="원천 종료 · the source ended", superseded_by=superseded_by)


class Given(scenario.Given[State]):
    def when_it_is(self, moment: datetime) -> scenario.Answer:
        return scenario.Answer(CONTEXT.tick(self.state, micros(moment)))

    def known(self, dataset: str = STOPS) -> Known:
        return self.state.datasets[dataset]

    def objects(self, dataset: str = STOPS) -> set[str]:
        return set(self.known(dataset).objects(dataset))

    def row(self, dataset: str = STOPS) -> dict[str, Any]:
        """What readers see of a dataset."""
        (found,) = (row for row in self.table("datasets") if row["dataset"] == dataset)
        return found


def given(*commands: Command) -> Given:
    return Given(CONTEXT).and_(*commands)
