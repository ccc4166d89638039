"""Pictures call things by names that people know, and never two things the same."""

import polars as pl

from serve.statistics import ALL
from serve.statistics.formats import chart
from serve.statistics.labels import Labels, labels_of

FACILITIES = pl.DataFrame({"facility": ["b-1", "m-1"], "name_ko": ["소양1교", "서부시장"]})
SENSORS = pl.DataFrame(
    {
        "sensor": ["t-1", "s-1", "s-2"],
        "facility": ["b-1", "m-1", "m-1"],
        "name_ko": ["기울기", "연기", "연기"],
        "unit": ["mm/m", "%/m", "%/m"],
    }
)
ROADS = pl.DataFrame({"road": ["r-1", "r-1"], "name_ko": ["중앙로", "중앙로"]})
LABELS = labels_of(FACILITIES, SENSORS, ROADS)


def rows(*sensors: str) -> pl.DataFrame:
    return pl.DataFrame({"sensor": sensors, "bucket": list(range(len(sensors))), "mean": [1.0] * len(sensors)})


def test_a_sensor_is_called_by_its_facility_and_what_it_measures() -> None:
    assert LABELS.named(rows("t-1"))["sensor"].to_list() == ["소양1교 기울기"]
    assert LABELS.names["road"] == {"r-1": "중앙로"}


def test_two_of_one_name_keep_their_ids_and_an_unknown_one_its_own() -> None:
    assert LABELS.named(rows("s-1", "s-2", "x"))["sensor"].to_list() == [
        "서부시장 연기 (s-1)",
        "서부시장 연기 (s-2)",
        "x",
    ]


def test_the_axis_has_the_unit_that_all_sensors_share() -> None:
    assert (LABELS.unit(rows("s-1", "s-2")), LABELS.unit(rows("s-1", "t-1"))) == ("%/m", "")
    told = ALL["readings"]
    frame = rows("t-1").with_columns(pl.lit(value=False).alias("synthetic"))
    assert chart(told, frame, LABELS)["encoding"]["y"]["title"] == "평균 mean (mm/m)"
    share = frame.rename({"mean": "availability"}).with_columns(pl.lit("b-1").alias("facility"))
    assert chart(ALL["availability"], share, LABELS)["encoding"]["y"]["title"] == "가동률 availability (share)"
    assert chart(told, frame, Labels())["encoding"]["y"]["title"] == "평균 mean (each sensor's own)"
