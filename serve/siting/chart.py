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
    """A Vega-Lite map of `answer.collection`: demand as dots by metres gained, and the sites of one model over them."""
    demand, sites = [], []
    for feature in answer["features"]:
        (lon, lat), told = feature["geometry"]["coordinates"], feature["properties"]
        if told["what"] == "demand" and model in told["models"]:
            gain = told["models"][model]["gain_m"]
            demand.append({"lon": lon, "lat": lat, "demand": told["demand"], "gain_m": gain})
        elif told["what"] == "site" and (told["role"] == "existing" or model in told["chosen_by"]):
            role = "existing" if told["role"] == "existing" else "chosen"
            sites.append({"lon": lon, "lat": lat, "role": _ROLES[role][0], "id": told["id"]})
    at = {
        "longitude": {"field": "lon", "type": "quantitative"},
        "latitude": {"field": "lat", "type": "quantitative"},
    }
    dots = {
        "data": {"values": demand},
        "mark": {"type": "circle", "opacity": 0.75},
        "encoding": at
        | {
            "size": {"field": "demand", "type": "quantitative", "title": "수요 demand", "scale": {"range": [8, 220]}},
            "color": {
                "field": "gain_m",
                "type": "quantitative",
                "title": "줄어든 거리 metres gained",
                "scale": {"scheme": "blues"},
            },
        },
    }
    marks = {
        "data": {"values": sites},
        "mark": {"type": "point", "filled": True, "size": 130, "shape": "triangle-up", "stroke": "white"},
        "encoding": at
        | {
            "color": {
                "field": "role",
                "type": "nominal",
                "title": None,
                "scale": {"domain": [one[0] for one in _ROLES.values()], "range": [one[1] for one in _ROLES.values()]},
            }
        },
    }
    return {
        "width": 640,
        "height": 640,
        "title": {"text": f"{answer['about']['kind']} · {LABELS[model]}", "anchor": "start"},
        "projection": {"type": "mercator"},
        "layer": [dots, marks],
        "resolve": {"scale": {"color": "independent"}},
    }
