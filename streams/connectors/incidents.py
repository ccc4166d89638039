"""Incidents that play over the simulated city within a minute or two: timed readings and commands, all synthetic.

An incident is a list of `Step`s in order of time. The player asks `held` for the `at_least` to pass
to `SimulatedCity.batches`, and `due` for the commands whose moment has come.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schemas.base import Command
from schemas.errors import NotFoundError
from schemas.facility import FacilityKind, SensorKind
from schemas.packs.pack import Pack, PackRoad, PackSensor
from schemas.road import (
    BeginSnow,
    ClearingState,
    EndSnow,
    FinishWork,
    MeasureSnow,
    PermitWork,
    SetClearing,
    StartWork,
    Window,
)

BY = "simulator"
OVERSHOOT = 1.3
"""How far an incident goes beyond the danger limit."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens `offset_s` after the beginning: commands, and least values that hold until the next step."""

    offset_s: float
    readings: Mapping[str, float] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()


def held(steps: Sequence[Step], elapsed_s: float) -> Mapping[str, float]:
    """The least values of sensors at a moment: those of the last step reached."""
    reached = [step for step in steps if step.offset_s <= elapsed_s]
    return reached[-1].readings if reached else {}


def due(steps: Sequence[Step], after_s: float, until_s: float) -> list[Command]:
    """The commands of the steps behind `after_s`, up to and with `until_s`."""
    return [command for step in steps if after_s < step.offset_s <= until_s for command in step.commands]


def bridge_settlement(pack: Pack, begin: datetime, facility: str | None = None) -> list[Step]:
    """A pier gives way: tilt and crack width rise past warning to beyond danger within 45 s.

    They stay there for 20 s, then read as before. `facility` defaults to the first bridge with such sensors.
    Raises `NotFoundError` where there is none.
    """
    del begin  # no command carries a time
    return _ramp(_sensors(pack, "bridge", ("tilt", "crack-width"), facility), rise_s=45, hold_s=20)


def market_fire(pack: Pack, begin: datetime, facility: str | None = None) -> list[Step]:
    """Smoke, heat, flame and carbon monoxide rise beyond danger within 20 s and stay for 40 s.

    That is longer than the 5 s that a market's alarm waits. `facility` defaults to the first market with such sensors.
    Raises `NotFoundError` where there is none.
    """
    del begin
    kinds: tuple[SensorKind, ...] = ("smoke", "temperature", "carbon-monoxide", "flame")
    return _ramp(_sensors(pack, "market", kinds, facility), rise_s=20, hold_s=40)


def snowfall(pack: Pack, begin: datetime) -> list[Step]:
    """Snow on every road: 1, then 3.5, then 6 cm (preparation, alert, emergency) within 20 s.

    From 30 s on the segments are planned, under way and cleared, 5 s a rank, the highest rank first.
    """
    snow = f"snow-{begin:%Y%m%d-%H%M%S}"

    def everywhere(offset: float, make: Callable[[datetime, str], Command]) -> Step:
        at = begin + timedelta(seconds=offset)
        return Step(offset, commands=tuple(make(at, road.id) for road in pack.roads))

    steps = [
        everywhere(0, lambda at, road: BeginSnow(at=at, by=BY, road=road, snow=snow, depth_cm=1.0, synthetic=True)),
        everywhere(10, lambda at, road: MeasureSnow(at=at, by=BY, road=road, snow=snow, depth_cm=3.5)),
        everywhere(20, lambda at, road: MeasureSnow(at=at, by=BY, road=road, snow=snow, depth_cm=6.0)),
        everywhere(25, lambda at, road: EndSnow(at=at, by=BY, road=road, snow=snow)),
    ]
    ranks = sorted({road.facts.rank for road in pack.roads})
    for place, rank in enumerate(ranks):
        roads = [road for road in pack.roads if road.facts.rank == rank]
        steps.append(_clearing(begin, 30.0 + place, roads, "planned", 30.0 + 5 * len(ranks)))
        steps.append(_clearing(begin, 40.0 + 5 * place, roads, "under-way"))
        steps.append(_clearing(begin, 45.0 + 5 * place, roads, "cleared"))
    return sorted(steps, key=lambda step: step.offset_s)


def excavation(pack: Pack, begin: datetime, road: str | None = None) -> list[Step]:
    """A water main is dug up: permitted at once, begun after 5 s, done after 120 s; it closes all lanes of a segment.

    `road` defaults to the pack's first. Raises `NotFoundError` for a road that the pack does not have.
    """
    target = next((one for one in pack.roads if road in {None, one.id}), None)
    if target is None:
        raise NotFoundError("road", road or "")
    work = f"excavation-{begin:%Y%m%d-%H%M%S}"

    def at(offset: float) -> datetime:
        return begin + timedelta(seconds=offset)

    permit = PermitWork(
        at=begin, by=BY, road=target.id, work=work, title_ko=f"(합성) {target.facts.name_ko} 상수도관 교체 굴착",
        title_en=f"(synthetic) {target.facts.name_en}: water main replacement", operator="(합성) 상수도 · water works",
        segments=(target.facts.segments[0].segment,), window=Window(start=at(5), end=at(120)),
        impact="all-lanes-closed", synthetic=True,
    )  # fmt: skip
    return [
        Step(0, commands=(permit,)),
        Step(5, commands=(StartWork(at=at(5), by=BY, road=target.id, work=work),)),
        Step(120, commands=(FinishWork(at=at(120), by=BY, road=target.id, work=work),)),
    ]


INCIDENTS: dict[str, Callable[[Pack, datetime], list[Step]]] = {
    "bridge-settlement": bridge_settlement,
    "market-fire": market_fire,
    "snowfall": snowfall,
    "excavation": excavation,
}
"""By the name that `bomnae simulate` knows."""


def _sensors(pack: Pack, kind: FacilityKind, of: tuple[SensorKind, ...], facility: str | None) -> list[PackSensor]:
    """The sensors of some kinds at a facility, by default the first of `kind`."""
    own: dict[str, list[PackSensor]] = {}
    for sensor in pack.sensors:
        if sensor.facts.kind in of and _danger(sensor) is not None:
            own.setdefault(sensor.facility, []).append(sensor)
    for one in pack.facilities:
        if one.facts.kind == kind and facility in {None, one.id} and one.id in own:
            return own[one.id]
    raise NotFoundError(f"{kind} with limits for {', '.join(of)}", facility or "any")


def _danger(sensor: PackSensor) -> float | None:
    return next((one.on for one in sensor.facts.limits if (one.condition, one.level) == ("high", "danger")), None)


def _peak(sensor: PackSensor, danger: float) -> float:
    """`OVERSHOOT` times the limit, within what the instrument can measure: a value beyond that would be a fault."""
    return OVERSHOOT * danger if sensor.facts.high is None else min(OVERSHOOT * danger, sensor.facts.high)


def _ramp(sensors: list[PackSensor], rise_s: int, hold_s: int) -> list[Step]:
    """A straight rise, a step a second, to each sensor's peak; then a hold, then silence."""
    peaks = {one.id: _peak(one, limit) for one in sensors if (limit := _danger(one)) is not None}
    rise = [
        Step(second, {sensor: peak * second / rise_s for sensor, peak in peaks.items()})
        for second in range(1, rise_s + 1)
    ]
    return [*rise, Step(rise_s + hold_s)]


def _clearing(
    begin: datetime, offset: float, roads: list[PackRoad], state: ClearingState, until: float | None = None
) -> Step:
    at = begin + timedelta(seconds=offset)
    window = None if until is None else Window(start=at, end=begin + timedelta(seconds=until))
    return Step(
        offset,
        commands=tuple(
            SetClearing(
                at=at, by=BY, road=road.id, segment=segment.segment, state=state, changed_at=at, window=window,
                source="simulated", source_state=state,
            )
            for road in roads
            for segment in road.facts.segments
        ),
    )  # fmt: skip
