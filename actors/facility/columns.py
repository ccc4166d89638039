"""Columnar state of all sensors of a shard: one array per quantity, grown geometrically, addressed by sensor index."""

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.facility import SLOTS, Limit, SensorFacts

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
U8 = NDArray[np.uint64]
I4 = NDArray[np.int32]
B1 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).min)
"""A moment (µs) that has not happened, a duration that does not apply."""
NO_BOOT = -1
NO_SEQUENCE = -1
WIDTH = len(SLOTS)
MICRO = 1_000_000

CONFIG: dict[str, tuple[str, int, float]] = {
    "gain": ("f8", 1, 1.0), "offset": ("f8", 1, 0.0), "low": ("f8", 1, -np.inf), "high": ("f8", 1, np.inf),
    "stale_after": ("i8", 1, NEVER), "unit": ("i4", 1, 0),
    "on": ("f8", WIDTH, np.nan), "off": ("f8", WIDTH, np.nan),
    "on_delay": ("i8", WIDTH, 0), "off_delay": ("i8", WIDTH, 0),
}  # fmt: skip
"""Columns that only commands move: dtype, cells per sensor, value of a new sensor. Delays and times are µs."""

LIVE: dict[str, tuple[str, int, float]] = {
    "value": ("f8", 1, np.nan), "time": ("i8", 1, NEVER), "quality": ("u1", 1, 0), "arrived": ("i8", 1, NEVER),
    "stale": ("u1", 1, 0), "count": ("u8", 1, 0), "origin": ("f8", 1, 0.0), "sum1": ("f8", 1, 0.0),
    "sum2": ("f8", 1, 0.0), "minimum": ("f8", 1, np.inf), "maximum": ("f8", 1, -np.inf),
    "boot": ("i8", 1, NO_BOOT), "top": ("i8", 1, NO_SEQUENCE), "window": ("u8", 1, 0),
    "old_boot": ("i8", 1, NO_BOOT), "old_top": ("i8", 1, NO_SEQUENCE), "old_window": ("u8", 1, 0),
    "reboots": ("u8", 1, 0), "gaps": ("u8", 1, 0), "late": ("u8", 1, 0), "duplicates": ("u8", 1, 0),
    "bad": ("u8", 1, 0),
    "seen_time": ("i8", 1, NEVER), "seen_value": ("f8", 1, np.nan), "seen_rate": ("f8", 1, np.nan),
    "seen_arrived": ("i8", 1, NEVER),
    "beyond": ("u1", WIDTH, 0), "since": ("i8", WIDTH, NEVER), "active": ("u1", WIDTH, 0),
    "occurrence": ("i8", WIDTH, 0),
}  # fmt: skip
"""Columns that readings and alarms move.

`sum1`/`sum2` are sums of deviations from `origin`, the first value. `top`/`window` are the highest sequence of a boot
and which of the 64 up to it were seen (bit k is `top - k`); `old_*` are those of the boot before. `seen_*` is what the
detectors saw last (when that arrived since fold version 2). Per slot: `beyond` (the hysteresis' output), `since` (first
row of its run), `active` (the latch).
"""

REPLACED = tuple(name for name in LIVE if name not in {"arrived", "stale", "occurrence"})
"""What starts anew with another instrument: all but when the place was last heard, and the numbers of its alarms."""


class Columns:
    """The sensors of a shard. Index = order of registration; nothing is ever removed.

    `version` counts changes of configuration, `moved` names the sensors whose part of the digest (`pieces`) it left
    behind; `codes` keeps what dictionaries of sensor ids mean. These follow from the rest.
    """

    gain: F8
    offset: F8
    low: F8
    high: F8
    stale_after: I8
    unit: I4
    on: F8
    off: F8
    on_delay: I8
    off_delay: I8
    value: F8
    time: I8
    quality: B1
    arrived: I8
    stale: B1
    count: U8
    origin: F8
    sum1: F8
    sum2: F8
    minimum: F8
    maximum: F8
    boot: I8
    top: I8
    window: U8
    old_boot: I8
    old_top: I8
    old_window: U8
    reboots: U8
    gaps: U8
    late: U8
    duplicates: U8
    bad: U8
    seen_time: I8
    seen_value: F8
    seen_rate: F8
    seen_arrived: I8
    beyond: B1
    since: I8
    active: B1
    occurrence: I8

    def __init__(self) -> None:
        self.n = 0
        self.version = 0
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        self.facility: list[str] = []
        self.facts: list[SensorFacts] = []
        self.limits: list[tuple[Limit, ...]] = []
        self.serials: list[str] = []
        self.units: dict[str, int] = {}
        self.pieces: list[bytes] = []
        self.moved: set[int] = set()
        self.codes: OrderedDict[tuple[bytes, str, str], I4] = OrderedDict()
        self._capacity = 0
        self._reserve(16)

    def _reserve(self, rows: int) -> None:
        if rows <= self._capacity:
            return
        held = self._capacity
        self._capacity = max(rows, 2 * held)
        for name, (dtype, width, fill) in (CONFIG | LIVE).items():
            shape = (self._capacity,) if width == 1 else (self._capacity, width)
            grown = np.full(shape, int(fill) if dtype[0] in "iu" else fill, dtype=dtype)
            if held:
                grown[:held] = getattr(self, name)
            setattr(self, name, grown)

    def changed(self, i: int) -> None:
        """Say that a sensor's configuration moved: forget what was derived from it."""
        self.version += 1
        self.moved.add(i)
        self.codes.clear()

    def add(self, sensor: str, facility: str, facts: SensorFacts) -> int:
        """A new sensor's index; its facts are applied."""
        i = self.n
        self.extend([sensor], [facility], [facts], [()], [""])
        self.set_facts(i, facts)
        return i

    def extend(
        self,
        sensors: list[str],
        facilities: list[str],
        facts: list[SensorFacts],
        limits: list[tuple[Limit, ...]],
        serials: list[str],
    ) -> None:
        """Append sensors whose cells are those of new ones, for the caller to fill."""
        first, self.n = self.n, self.n + len(sensors)
        self._reserve(self.n)
        self.index |= {sensor: first + k for k, sensor in enumerate(sensors)}
        self.ids += sensors
        self.facility += facilities
        self.facts += facts
        self.limits += limits
        self.serials += serials
        self.pieces += [b""] * len(sensors)
        self.moved |= set(range(first, self.n))
        self.version += 1

    def set_facts(self, i: int, facts: SensorFacts) -> None:
        """Apply facts, limits included."""
        self.facts[i] = facts
        self.low[i] = -np.inf if facts.low is None else facts.low
        self.high[i] = np.inf if facts.high is None else facts.high
        watched = facts.stale_after_s is not None and not facts.recorded
        self.stale_after[i] = round((facts.stale_after_s or 0.0) * MICRO) if watched else NEVER
        if not watched:
            self.stale[i] = 0
        self.unit[i] = self.units.setdefault(facts.unit, len(self.units))
        self.set_limits(i, facts.limits)
        self.changed(i)

    def set_limits(self, i: int, limits: tuple[Limit, ...]) -> None:
        """Replace all limits.

        A slot whose limit is the same goes on; a changed one keeps its latch and starts a run at the next row; one
        that is gone is off.
        """
        self.limits[i] = limits
        new = {(limit.condition, limit.level): limit for limit in limits}
        for slot, key in enumerate(SLOTS):
            limit = new.get(key)
            cells = (
                (np.nan, np.nan, 0, 0)
                if limit is None
                else (limit.on, limit.off, round(limit.on_delay_s * MICRO), round(limit.off_delay_s * MICRO))
            )
            old = (self.on[i, slot], self.off[i, slot], self.on_delay[i, slot], self.off_delay[i, slot])
            if np.array_equal(cells, old, equal_nan=True):
                continue
            self.on[i, slot], self.off[i, slot], self.on_delay[i, slot], self.off_delay[i, slot] = cells
            if limit is None:
                self.active[i, slot] = 0
            self.beyond[i, slot] = self.active[i, slot]
            self.since[i, slot] = NEVER
        self.changed(i)

    def calibrate(self, i: int, gain: float, offset: float, seen: bool = True) -> None:
        """Values are `gain × raw + offset` from now on; with `seen` also the one that the detectors saw last."""
        if seen:  # so that the correction is no jump; a gain of 0 has hidden what the raw value was
            with np.errstate(over="ignore", invalid="ignore"):
                raw = (self.seen_value[i] - self.offset[i]) / self.gain[i] if self.gain[i] else np.nan
                self.seen_value[i] = gain * raw + offset
        self.gain[i], self.offset[i] = gain, offset
        self.changed(i)

    def alone(self, i: int) -> "Columns":
        """A copy of one sensor, as the only one."""
        one = Columns()
        one.extend([self.ids[i]], [self.facility[i]], [self.facts[i]], [self.limits[i]], [self.serials[i]])
        for name in CONFIG | LIVE:
            getattr(one, name)[0] = getattr(self, name)[i]
        return one

    def replace(self, i: int, serial: str) -> None:
        """Another instrument: `REPLACED` starts anew."""
        self.serials[i] = serial
        for name in REPLACED:
            dtype, _, fill = LIVE[name]
            getattr(self, name)[i] = int(fill) if dtype[0] in "iu" else fill
        self.changed(i)

    def live(self) -> dict[str, NDArray[Any]]:
        """The live columns, cut to the sensors there are (views)."""
        return {name: getattr(self, name)[: self.n] for name in LIVE}

    def config(self) -> dict[str, NDArray[Any]]:
        """The configured columns, cut to the sensors there are (views)."""
        return {name: getattr(self, name)[: self.n] for name in CONFIG}
