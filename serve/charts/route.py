"""The map of a journey: the city's roads, the stops in order, the legs, and where the person could be by now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from serve.search.journey import Journey, Leg, Stop
from serve.search.reach import Area, Line

SEOUL = ZoneInfo("Asia/Seoul")
WIDTH, HEIGHT = 720, 560
_MARGIN = 0.25
_LEAST_DEGREES = 0.004
_COLOURS = {"confirmed": "#0b6e4f", "likely": "#e08e0b", "left out": "#7a7f87", "apart": "#b3261e"}
_KINDS_KO = {
    "confirmed": "확인됨 confirmed",
    "likely": "가능성 높음 likely",
    "left out": "경로에서 제외 left out",
    "apart": "이동 불가 impossible",
}


def route_spec(
    journey: Journey, reach: Area | None, roads: Iterable[Line], names: Mapping[str, str], title: str
) -> dict[str, Any]:
    """A Vega-Lite specification. `roads` are lines of (lon, lat), `names` what the cameras are called by id.

    Times are shown in Asia/Seoul. Impossible legs are dashed and red, stops that do not fit lie apart in red, likely
    stops without which the route is likelier in grey.
    """
    apart, left_out = [stop for stop, _ in journey.apart], [stop for stop, _ in journey.left_out]
    frame = _frame([*journey.stops, *apart, *left_out])
    layers = [
        _shapes([{"type": "LineString", "coordinates": [list(at) for at in line]} for line in roads], "#c9ced6", 1.2),
        *([_filled(reach)] if reach is not None else []),
        *(_leg(one) for one in journey.legs),
        # At one camera the surest lies on top.
        _points([_row(stop, "left out", names) for stop in left_out], 60),
        _points([_row(stop, "apart", names) for stop in apart], 60),
        _points([_row(stop, "likely", names) for stop in journey.stops if not stop.confirmed], 90),
        _points([_row(stop, "confirmed", names) for stop in journey.stops if stop.confirmed], 90),
        _labels(_named(journey.stops, names)),
    ]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "title": {"text": title, "anchor": "start"},
        "projection": {"type": "mercator", "fit": frame, "size": [WIDTH, HEIGHT], "clipExtent": None},
        "layer": layers,
    }


def _frame(stops: Sequence[Stop]) -> dict[str, Any]:
    """What the map shows: the stops with a margin, as a ring that turns clockwise, as d3 wants it."""
    lons, lats = [stop.lon for stop in stops] or [127.73], [stop.lat for stop in stops] or [37.88]
    wide = max(max(lons) - min(lons), _LEAST_DEGREES) * _MARGIN + _LEAST_DEGREES / 2
    high = max(max(lats) - min(lats), _LEAST_DEGREES) * _MARGIN + _LEAST_DEGREES / 2
    west, east, south, north = min(lons) - wide, max(lons) + wide, min(lats) - high, max(lats) + high
    ring = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}


def _shapes(
    geometries: list[dict[str, Any]], colour: str, width: float, dash: list[int] | None = None
) -> dict[str, Any]:
    features = [{"type": "Feature", "geometry": one, "properties": {}} for one in geometries]
    mark = {"type": "geoshape", "filled": False, "stroke": colour, "strokeWidth": width, "clip": True}
    return {"data": {"values": features}, "mark": mark | ({"strokeDash": dash} if dash else {})}


def _filled(reach: Area) -> dict[str, Any]:
    feature = {"type": "Feature", "geometry": _clockwise(reach.geometry), "properties": {}}
    return {
        "data": {"values": [feature]},
        "mark": {"type": "geoshape", "fill": "#2f6fde", "opacity": 0.18, "clip": True},
    }


def _clockwise(geometry: dict[str, Any]) -> dict[str, Any]:
    """The same with outer rings turned for d3, which takes the other side of a ring of GeoJSON for its inside."""
    many = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    turned = [[_turned(ring, clockwise=index == 0) for index, ring in enumerate(rings)] for rings in many]
    return {"type": "MultiPolygon", "coordinates": turned}


def _turned(ring: Sequence[Sequence[float]], *, clockwise: bool) -> list[list[float]]:
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    points = [list(point) for point in ring]
    return points if (area < 0) == clockwise else points[::-1]


def _leg(leg: Leg) -> dict[str, Any]:
    line = {"type": "LineString", "coordinates": [[one.lon, one.lat] for one in (leg.start, leg.end)]}
    impossible = leg.mode == "impossible"
    return _shapes([line], _COLOURS["apart" if impossible else "confirmed"], 2.5, [6, 4] if impossible else None)


def _row(stop: Stop, kind: str, names: Mapping[str, str], number: int = 0) -> dict[str, Any]:
    time = stop.time.astimezone(SEOUL).strftime("%H:%M:%S")
    label = f"{number}. {names.get(stop.camera, stop.camera)} {time}"
    return {"lon": stop.lon, "lat": stop.lat, "kind": _KINDS_KO.get(kind, ""), "label": label}


def _named(stops: Sequence[Stop], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a place, with all its stops in one label: who comes back to a camera would stand over the first one."""
    rows: dict[tuple[float, float], dict[str, Any]] = {}
    for number, stop in enumerate(stops, 1):
        row = _row(stop, "", names, number)
        known = rows.setdefault((stop.lon, stop.lat), row)
        if known is not row:
            known["label"] += f" · {number}. {stop.time.astimezone(SEOUL):%H:%M:%S}"
    return list(rows.values())


def _points(rows: list[dict[str, Any]], size: int) -> dict[str, Any]:
    colour = {
        "field": "kind",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(_KINDS_KO.values()), "range": [_COLOURS[kind] for kind in _KINDS_KO]},
        "legend": {"orient": "bottom"},
    }
    return {
        "data": {"values": rows},
        "mark": {"type": "circle", "size": size, "opacity": 1, "stroke": "white"},
        "encoding": {**_AT, "color": colour},
    }


def _labels(rows: list[dict[str, Any]]) -> dict[str, Any]:
    mark = {"type": "text", "align": "left", "dx": 9, "dy": -7, "fontSize": 11, "fontWeight": "bold"}
    return {"data": {"values": rows}, "mark": mark, "encoding": {**_AT, "text": {"field": "label"}}}


_AT = {"longitude": {"field": "lon", "type": "quantitative"}, "latitude": {"field": "lat", "type": "quantitative"}}
