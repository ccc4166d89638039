"""A journey as GeoJSON: stops and legs in order of time, what is impossible apart from it, and how far it may go on."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from serve.search.journey import FASTEST_M_S, Journey, Leg, Stop, plan, weigh
from serve.search.reach import Area

SEOUL = ZoneInfo("Asia/Seoul")
UNCALIBRATED = 0.25
"""What a candidate without a calibrated probability counts as: likely once it fits to what was confirmed. Assumed.

It decides who is on the route, not the order of lists: see `serve.search.ranking`.
"""
MODES_KO = {"walk": "도보", "bus": "버스", "car": "승용차", "impossible": "이동 불가"}


def stops_of(candidates: Sequence[Mapping[str, Any]], places: Mapping[str, Mapping[str, Any]]) -> list[Stop]:
    """The stops of a case's candidates (rows of the table), without the dismissed and those of unknown cameras."""
    return [
        Stop(
            row["candidate"],
            row["camera"],
            place["lon"],
            place["lat"],
            row["time"],
            1.0 if row["state"] == "confirmed" else prior(row["probability"]),
            row["state"] == "confirmed",
        )
        for row in candidates
        if row["state"] != "dismissed" and (place := places.get(row["camera"])) is not None and place["lon"] is not None
    ]


def prior(probability: float | None) -> float:
    """What a candidate counts before anything was confirmed."""
    return UNCALIBRATED if probability is None else probability


def likelihoods(stops: Sequence[Stop]) -> dict[str, float]:
    """The probability of each stop, given the places and times of those that were confirmed."""
    confirmed = [stop for stop in stops if stop.confirmed]
    return {stop.sighting: weigh(stop, confirmed).probability for stop in stops}


def route(stops: Sequence[Stop], places: Mapping[str, Mapping[str, Any]], likely: float) -> dict[str, Any]:
    """A FeatureCollection: the stops as points, the possible legs as lines.

    `impossible` beside `features` lists the legs that nobody can make between stops of the journey, and the stops that
    do not fit to it; `left_out` the likely stops that would be possible, but make the route less likely. Each has its
    reason; nothing of it is dropped.
    """
    journey: Journey = plan(stops, likely)
    legs = [_leg(one) for one in journey.legs]
    points = [_stop(one, places, order) for order, one in enumerate(journey.stops, 1)]
    apart = [_stop(one, places, None, why) for one, why in journey.apart]
    left_out = [_stop(one, places, None, why) for one, why in journey.left_out]
    impossible = [one for one in legs if one["properties"]["impossible"]]
    possible = [one for one in legs if not one["properties"]["impossible"]]
    beside = {"impossible": [*impossible, *apart], "left_out": left_out}
    return {"type": "FeatureCollection", "features": [*points, *possible], **beside}


def last_confirmed(stops: Sequence[Stop]) -> Stop | None:
    """Where the person was for certain at last."""
    return max((one for one in stops if one.confirmed), key=lambda one: (one.time, one.sighting), default=None)


def reach_feature(area: Area, stop: Stop, mode: str, seconds: float) -> dict[str, Any]:
    """Where the person could be by now. `method` is `roads`, or `straight-line` where no road is near."""
    properties = {
        "from": stop.sighting,
        "mode": mode,
        "metres_per_second": FASTEST_M_S[mode],  # type: ignore[index]
        "seconds": seconds,
        "method": area.method,
    }
    return {"type": "Feature", "geometry": area.geometry, "properties": properties}


def _stop(
    stop: Stop, places: Mapping[str, Mapping[str, Any]], order: int | None, against: Leg | None = None
) -> dict[str, Any]:
    place = places[stop.camera]
    properties: dict[str, Any] = {
        "order": order,
        "candidate": stop.sighting,
        "camera": stop.camera,
        "name_ko": place["name_ko"],
        "name_en": place["name_en"],
        "time": stop.time,
        "local_time": stop.time.astimezone(SEOUL).isoformat(),
        "state": "confirmed" if stop.confirmed else "likely",
        "likelihood": stop.probability,
        "impossible": against is not None and against.mode == "impossible",
    }
    if against is not None:
        other = against.end if against.start.sighting == stop.sighting else against.start
        possible = against.mode != "impossible"
        reason = f"the route is likelier without it: {against.reason}" if possible else against.reason
        properties |= {"reason": reason, "against": other.sighting, "state": "left out" if possible else "apart"}
        properties |= {"mode": against.mode, "mode_ko": MODES_KO[against.mode]}
    return {
        "type": "Feature",
        "id": stop.sighting,
        "geometry": {"type": "Point", "coordinates": [stop.lon, stop.lat]},
        "properties": properties,
    }


def _leg(leg: Leg) -> dict[str, Any]:
    line = [[leg.start.lon, leg.start.lat], [leg.end.lon, leg.end.lat]]
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": line},
        "properties": {
            "from": leg.start.sighting,
            "to": leg.end.sighting,
            "metres": round(leg.metres, 1),
            "seconds": leg.seconds,
            "mode": leg.mode,
            "mode_ko": MODES_KO[leg.mode],
            "reason": leg.reason,
            "impossible": leg.mode == "impossible",
        },
    }
