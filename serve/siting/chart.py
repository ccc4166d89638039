"""A siting answer drawn: the comparison of the objectives, and the map of one model's choice."""

from collections.abc import Mapping, Sequence
from typing import Any

from serve.siting.compare import Measures

LABELS: Mapping[str, str] = {
    "now": "현재 now",
    "lscp": "전원 도달 LSCP",
    "mclp": "최대 포괄 MCLP",
    "p-median": "평균 거리 p-median",
    "p-center": "최장 거리 p-center",
}
_COLOURS = {"now": "#7a7f87", "lscp": "#0b6e4f", "mclp": "#2f6fde", "p-median": "#e08e0b", "p-center": "#8e44ad"}
_PANELS = (
    ("sites", "새 시설 수 new sites", ",.0f"),
    ("share", "도달 수요 비율 share of demand in reach", ".1%"),
    ("mean_m", "평균 거리 mean way (m)", ",.0f"),
    ("farthest_m", "최장 거리 longest way (m)", ",.0f"),
)
_ROLES = {"existing": ("기존 existing", "#0b6e4f"), "chosen": ("선정 chosen", "#b3261e")}
_GROUPS = {
    "nearer": ("가까워짐 nearer", "#2f6fde"),
    "same": ("그대로 as before", "#9aa3af"),
    "out": ("도달 밖 out of reach", "#e0b80e"),
}
SIDE = 640
_LEAST_DEGREES = 0.002


def comparison(kind: str, measures: Sequence[Measures]) -> dict[str, Any]:
    """A Vega-Lite specification: for each objective a panel with a bar for each set of sites, none where unknown."""
    order = [LABELS[one.of] for one in measures]
    colour = {
        "field": "set",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": order, "range": [_COLOURS[one.of] for one in measures]},
    }
    panels = []
    for name, title, form in _PANELS:
        rows = [{"set": LABELS[one.of], "value": getattr(one, name)} for one in measures]
        shown = [row for row in rows if row["value"] is not None]
        if not shown:
            continue
        across = {"field": "value", "type": "quantitative", "title": title, "axis": {"format": form, "tickCount": 4}}
        down = {"field": "set", "type": "nominal", "title": None, "sort": order, "scale": {"domain": order}}
        text = {"type": "text", "align": "left", "dx": 4}
        panels.append(
            {
                "width": 220,
                "height": {"step": 30},
                "data": {"values": shown},
                "layer": [
                    {"mark": {"type": "bar", "tooltip": True}, "encoding": {"color": colour}},
                    {"mark": text, "encoding": {"text": {"field": "value", "type": "quantitative", "format": form}}},
                ],
                "encoding": {"x": across, "y": down},
            }
        )
    return {
        "title": {"text": f"{kind} 입지 비교 · siting compared", "anchor": "start"},
        "concat": panels,
        "columns": 2,
    }


def chosen_map(answer: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A Vega-Lite map of `answer.collection`: who comes nearer, who is out of reach, and the sites of one model.

    It shows the surroundings of the sites; demand far from all of them lies outside.
    """
    demand, sites = [], []
    for feature in answer["features"]:
        (lon, lat), told = feature["geometry"]["coordinates"], feature["properties"]
        if told["what"] == "demand" and model in told["models"]:
            group = _group(told["models"][model])
            demand.append({"lon": lon, "lat": lat, "demand": told["demand"], "group": _GROUPS[group][0]})
        elif told["what"] == "site" and (told["role"] == "existing" or model in told["chosen_by"]):
            sites.append({"lon": lon, "lat": lat, "role": _ROLES[told["role"]][0], "id": told["id"]})
    size = {"field": "demand", "type": "quantitative", "title": "수요 demand", "scale": {"range": [8, 300]}}
    dots = {
        "data": {"values": demand},
        "mark": {"type": "circle", "opacity": 0.75, "clip": True},
        "encoding": _AT | {"size": size, "color": _coloured("group", _GROUPS)},
    }
    marks = {
        "data": {"values": sites},
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 150, "shape": "triangle-up", "stroke": "white"},
        "encoding": _AT | {"color": _coloured("role", _ROLES)},
    }
    return {
        "width": SIDE,
        "height": SIDE,
        "title": {"text": f"{answer['about']['kind']} · {LABELS[model]}", "anchor": "start"},
        "projection": {"type": "mercator", "fit": _frame(sites or demand), "size": [SIDE, SIDE]},
        "layer": [dots, marks],
        "resolve": {"scale": {"color": "independent"}},
    }


def _group(told: Mapping[str, Any]) -> str:
    if not told["served"]:
        return "out"
    return "same" if told["gain_m"] == 0 else "nearer"


def _coloured(name: str, kinds: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    scale = {"domain": [label for label, _ in kinds.values()], "range": [colour for _, colour in kinds.values()]}
    return {"field": name, "type": "nominal", "title": None, "scale": scale}


def _frame(places: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A ring around places with a quarter of their extent beside them, clockwise, as d3 wants it."""
    lons, lats = [one["lon"] for one in places], [one["lat"] for one in places]
    wide = (max(lons) - min(lons)) / 4 + _LEAST_DEGREES
    high = (max(lats) - min(lats)) / 4 + _LEAST_DEGREES
    west, east, south, north = min(lons) - wide, max(lons) + wide, min(lats) - high, max(lats) + high
    ring = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}


_AT = {"longitude": {"field": "lon", "type": "quantitative"}, "latitude": {"field": "lat", "type": "quantitative"}}
