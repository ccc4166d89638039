"""Measures as metrics of Ray, whose agent on each node shows them to Prometheus."""

from collections.abc import Iterable
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from actors.meters import SECONDS, Metric


class RayMeters:
    """`actors.meters.Meters` over the Ray metrics of this process. Raises `KeyError` for one that is not declared."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._made: dict[str, Any] = {metric.name: _made(metric) for metric in metrics}

    def add(self, name: str, value: float = 1, **tags: str) -> None:
        """See `Meters`."""
        self._made[name].inc(value, tags)

    def put(self, name: str, value: float, **tags: str) -> None:
        """See `Meters`."""
        self._made[name].set(value, tags)

    def observe(self, name: str, value: float, **tags: str) -> None:
        """See `Meters`."""
        self._made[name].observe(value, tags)


def _made(metric: Metric) -> Counter | Gauge | Histogram:
    said = metric.says[0].upper() + metric.says[1:] + "."
    if metric.kind == "histogram":
        return Histogram(metric.name, said, list(SECONDS), metric.tags)
    return (Counter if metric.kind == "counter" else Gauge)(metric.name, said, metric.tags)
