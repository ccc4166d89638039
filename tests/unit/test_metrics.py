"""The metrics in docs/operations.md are those that the code declares."""

from pathlib import Path

from actors import meters
from serve import measuring
from serve.search import host

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_documented_metrics_are_the_declared_ones() -> None:
    assert meters.reference((*meters.METRICS, *measuring.METRICS, *host.METRICS)) in PAGE.read_text()


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in (*meters.METRICS, *measuring.METRICS, *host.METRICS)]
    assert len(names) == len(set(names))
