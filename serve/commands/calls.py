"""Commands as requests to the HTTP API. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.base import Command
from schemas.catalogue import RegisterDataset
from schemas.facility import RegisterFacility, RegisterSensor
from schemas.road import BeginSnow, EndSnow, FinishWork, MeasureSnow, PermitWork, RegisterRoad, StartWork
from schemas.sighting import RegisterCamera


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)


def calls(commands: Iterable[Command]) -> list[Call]:
    """The requests that bring commands into a city, in their order; snow that reaches many roads is one request.

    The API stamps clock and principal itself, so `at` and `by` are left out. Raises `TypeError` for a command that no
    pack, replay or incident sends over HTTP.
    """
    found: list[Call] = []
    for command in commands:
        call = _call(command)
        if found and _alike(found[-1], call):
            found[-1].body["roads"].extend(call.body["roads"])
        else:
            found.append(call)
    return found


def _alike(one: Call, other: Call) -> bool:
    def bare(call: Call) -> tuple[str, str, dict[str, Any]]:
        return call.method, call.path, {name: value for name, value in call.body.items() if name != "roads"}

    return "roads" in one.body and "roads" in other.body and bare(one) == bare(other)


def _call(command: Command) -> Call:  # noqa: C901 - a case per command
    method, body = "PUT", command.model_dump(mode="json", exclude={"at", "by"})
    match command:
        case RegisterFacility():
            path, body = f"/v1/facilities/{command.facility}", body["facts"]
        case RegisterSensor():
            path, body = f"/v1/facilities/{command.facility}/sensors/{command.sensor}", body["facts"]
        case RegisterDataset():
            path, body = f"/v1/datasets/{command.dataset}", body["facts"]
        case RegisterCamera():
            path, body = f"/v1/cameras/{command.camera}", body["facts"]
        case RegisterRoad():
            path, body = f"/v1/roads/{command.road}", body["facts"]
        case PermitWork():
            method, path = "POST", "/v1/works"
        case StartWork() | FinishWork():
            action = "start" if isinstance(command, StartWork) else "finish"
            method, path, body = "PATCH", f"/v1/works/{command.work}", {"action": action}
        case BeginSnow():
            body = {"snow": command.snow, "depth_cm": command.depth_cm, "synthetic": command.synthetic}
            method, path, body = "POST", "/v1/snow", {**body, "roads": [command.road]}
        case MeasureSnow():
            body = {"action": "measure", "depth_cm": command.depth_cm, "roads": [command.road]}
            method, path = "PATCH", f"/v1/snow/{command.snow}"
        case EndSnow():
            method, path, body = "PATCH", f"/v1/snow/{command.snow}", {"action": "end", "roads": [command.road]}
        case _:
            raise TypeError(f"{type(command).__name__} has no request here")
    return Call(method, path, body)
