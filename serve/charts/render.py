"""Vega-Lite specifications as pictures."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Literal

import vl_convert

Format = Literal["svg", "png"]
MEDIA: dict[Format, str] = {"svg": "image/svg+xml", "png": "image/png"}
FONT = "NanumGothic"
"""SIL Open Font License; it comes in the wheel of koreanize-matplotlib. In an SVG the reader's own stands in for it."""
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


def render(spec: dict[str, Any], form: Format) -> bytes:
    """The picture of a specification. Takes 0.1 s to a second, so call it in a thread; loads nothing from anywhere.

    Raises `ValueError` for a specification that is none.
    """
    _with_fonts()
    whole = {"$schema": SCHEMA, "config": {"font": FONT}, **spec}
    if form == "svg":
        return vl_convert.vegalite_to_svg(whole, allowed_base_urls=[]).encode()
    return bytes(vl_convert.vegalite_to_png(whole, scale=2, allowed_base_urls=[]))


@cache
def _with_fonts() -> None:
    # Found, not imported: the package would import matplotlib.
    found = importlib.util.find_spec("koreanize_matplotlib")
    if found is not None and found.origin is not None:
        vl_convert.register_font_directory(str(Path(found.origin).parent / "fonts"))
