"""The metrics in docs/operations.md are those that the code declares."""

from pathlib import Path

from actors import meters
from actors.archiving import archivist
from serve import measuring, nats_metrics
from serve.search import host

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


ALL = (*meters.METRICS, *measuring.METRICS, *host.METRICS, *archivist.METRICS, *nats_metrics.METRICS)


def test_the_documented_metrics_are_the_declared_ones() -> None:
    assert meters.reference(ALL) in PAGE.read_text()


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in ALL]
    assert len(names) == len(set(names))
