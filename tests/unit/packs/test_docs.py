from pathlib import Path
from typing import get_args

import pytest

from schemas.packs.rows import (
    Area,
    Boundaries,
    CameraMarks,
    CameraRow,
    FacilityMarks,
    FacilityRow,
    Head,
    LimitRow,
    ProfileRow,
    RoadMarks,
    RoadRow,
    SegmentRow,
    SensorRow,
)  # fmt: skip

PAGE = (Path(__file__).parents[3] / "docs/packs.md").read_text(encoding="utf-8")
ROWS = [Head, Boundaries, Area, FacilityRow, ProfileRow, LimitRow, SensorRow, RoadRow, SegmentRow, CameraRow]


@pytest.mark.parametrize("model", ROWS, ids=lambda model: model.__name__)
def test_the_page_about_packs_names_every_column(model):
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("marks", [FacilityMarks, RoadMarks, CameraMarks])
def test_the_page_about_packs_names_every_mark(marks):
    words = get_args(get_args(get_args(marks)[0])[0])

    assert len(words) >= 3
    assert [word for word in words if f"`{word}`" not in PAGE] == []
