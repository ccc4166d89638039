"""Boxes as requests name them."""

from schemas.errors import InvalidError

Bbox = tuple[float, float, float, float]
"""West, south, east, north in degrees (WGS84)."""


def box_of(text: str) -> Bbox:
    """`west,south,east,north` in degrees (WGS84). Raises `InvalidError` for anything else."""
    try:
        west, south, east, north = (float(one) for one in text.split(","))
    except ValueError:
        raise InvalidError(
            f"bbox is west,south,east,north in degrees, as 127.65,37.82,127.80,37.95, not {text!r}"
        ) from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InvalidError(
            f"bbox {text!r} has no area: west,south,east,north are degrees, west before east, south before north"
        )
    return west, south, east, north
