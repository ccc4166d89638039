"""Which rows count: each (sensor, boot, sequence) once, however often and in whatever order it is delivered.

The rule, per row in stream order, for the row's sensor:
- a boot above the current one: the device restarted; the current generation becomes the previous, a new one begins;
- a boot that is neither the current nor the previous one at that row: superseded, refused;
- within its generation, with H the highest sequence so far: above H it counts (H+1 … s−1 are gaps, if the generation
  had a reading before); H−63 … H counts as late unless it was seen; at or below H−64, or seen, it is a duplicate (of
  what is behind the window nothing is remembered: most that comes there is a repetition, and nothing counts twice).

`judge` computes that for many rows at once. It changes nothing: `writes` are applied by `Verdict.apply`.
"""

from dataclasses import dataclass

import numpy as np

from actors.facility.columns import I8, NO_BOOT, NO_SEQUENCE, U8, Columns, Mask
from actors.facility.segments import Runs, running_max, runs_of, shifted

REACH = 64
"""How far behind the highest sequence a late reading still counts: the width of the window."""


@dataclass(slots=True)
class Verdict:
    """Per row, sorted by sensor as given: accepted, superseded, behind the window; and what follows for the columns."""

    accepted: Mask
    superseded: Mask
    behind: Mask
    sensors: I8
    generations: dict[str, tuple[I8, I8 | U8]]
    counters: dict[str, tuple[I8, U8]]

    def apply(self, columns: Columns) -> None:
        """Write generations and counters."""
        for name, (sensors, values) in self.generations.items():
            getattr(columns, name)[sensors] = values
        for name, (sensors, amounts) in self.counters.items():
            np.add.at(getattr(columns, name), sensors, amounts)


def judge(columns: Columns, sensor: I8, boot: I8, sequence: I8) -> Verdict:
    """Judge rows that are sorted by sensor and in stream order within a sensor."""
    runs = runs_of(sensor)
    who = sensor[runs.starts]
    before = shifted(sequence, runs, columns.top[who])
    odd = (boot != columns.boot[who][runs.of]) | (sequence <= before)
    odd_runs = np.logical_or.reduceat(odd, runs.starts)
    accepted = np.ones(runs.size, bool)
    superseded, behind = np.zeros(runs.size, bool), np.zeros(runs.size, bool)
    if not odd_runs.any():
        generations, counters = _in_order(columns, sensor, sequence, before)
        return Verdict(accepted, superseded, behind, who, generations, counters)
    rows = np.flatnonzero(odd_runs[runs.of])
    accepted[rows], superseded[rows], behind[rows], generations, counters = _any_order(
        columns, sensor[rows], boot[rows], sequence[rows]
    )
    if len(rows) < runs.size:
        rest = np.flatnonzero(~odd_runs[runs.of])
        more_generations, more_counters = _in_order(columns, sensor[rest], sequence[rest], before[rest])
        for name, pair in more_generations.items():
            generations[name] = _joined(generations[name], pair)
        for name, counted in more_counters.items():
            counters[name] = _joined(counters[name], counted)
    return Verdict(accepted, superseded, behind, who, generations, counters)


def _joined(one: tuple[I8, I8 | U8], other: tuple[I8, I8 | U8]) -> tuple[I8, U8]:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _in_order(
    columns: Columns, sensor: I8, sequence: I8, before: I8
) -> tuple[dict[str, tuple[I8, I8 | U8]], dict[str, tuple[I8, U8]]]:
    """The common case: the current boot, sequences that only rise. Every row counts."""
    runs = runs_of(sensor)
    who = sensor[runs.starts]
    top, window = _windows(sequence, np.ones(runs.size, bool), runs, columns.top[who], columns.window[who])
    missing = np.where(before == NO_SEQUENCE, 0, sequence - before - 1)
    amounts = np.add.reduceat(missing.astype(np.uint64), runs.starts)
    return {"top": (who, top), "window": (who, window)}, {"gaps": (who, amounts)}


def _windows(sequence: I8, accepted: Mask, runs: Runs, top: I8, window: U8) -> tuple[I8, U8]:
    """Highest sequence and window of each generation after its rows."""
    new_top = np.maximum(top, np.maximum.reduceat(sequence, runs.starts))
    rise = new_top - top
    new_window = np.where(rise < REACH, window << np.minimum(rise, REACH - 1).astype(np.uint64), np.uint64(0))
    depth = new_top[runs.of] - sequence
    near = np.flatnonzero(accepted & (depth < REACH))
    np.bitwise_or.at(new_window, runs.of[near], np.uint64(1) << depth[near].astype(np.uint64))
    return new_top, new_window


def _known(columns: Columns, who: I8, boot: I8) -> tuple[I8, U8]:
    """Highest sequence and window that the columns hold of a generation; those of a fresh one where they hold none."""
    current, old = columns.boot[who] == boot, columns.old_boot[who] == boot
    top = np.where(current, columns.top[who], np.where(old, columns.old_top[who], NO_SEQUENCE))
    none = np.uint64(0)
    return top, np.where(current, columns.window[who], np.where(old, columns.old_window[who], none))


def _any_order(
    columns: Columns, sensor: I8, boot: I8, sequence: I8
) -> tuple[Mask, Mask, Mask, dict[str, tuple[I8, I8 | U8]], dict[str, tuple[I8, U8]]]:
    """The rule in full: restarts, two generations, late and repeated rows."""
    runs = runs_of(sensor)
    who = sensor[runs.starts]
    before = running_max(boot, runs, columns.boot[who])
    restarted = boot > before
    current = np.maximum(before, boot)
    left = np.where(restarted, before, NO_BOOT)
    previous = np.maximum(running_max(left, runs, columns.old_boot[who]), left)
    superseded = (boot != current) & (boot != previous)

    rows = np.flatnonzero(~superseded)
    rows = rows[np.lexsort((boot[rows], runs.of[rows]))]
    accepted, behind = np.zeros(runs.size, bool), np.zeros(runs.size, bool)
    late, gap = np.zeros(runs.size, np.uint64), np.zeros(runs.size, np.uint64)
    now_boot, old_boot = current[runs.lasts], previous[runs.lasts]
    now_top, now_window = _known(columns, who, now_boot)
    old_top, old_window = _known(columns, who, old_boot)
    if len(rows):
        s = sequence[rows]
        parts = runs_of(runs.of[rows], boot[rows])
        owner, part_boot = runs.of[rows][parts.starts], boot[rows][parts.starts]
        top, window = _known(columns, who[owner], part_boot)
        highest = running_max(s, parts, top)
        behind[rows] = s <= highest - REACH
        ok = ~behind[rows] & _first(s, parts) & ~_seen(s, top[parts.of], window[parts.of])
        accepted[rows] = ok
        late[rows] = ok & (s <= highest)
        gap[rows] = np.where(ok & (s > highest) & (highest != NO_SEQUENCE), s - highest - 1, 0)
        new_top, new_window = _windows(s, ok, parts, top, window)
        for part_of, tops, windows in ((now_boot, now_top, now_window), (old_boot, old_top, old_window)):
            mine = np.flatnonzero(part_boot == part_of[owner])
            tops[owner[mine]], windows[owner[mine]] = new_top[mine], new_window[mine]
    repeated = (~accepted & ~superseded).astype(np.uint64)
    reboots = (restarted & (before != NO_BOOT)).astype(np.uint64)
    counts = {"gaps": gap, "late": late, "duplicates": repeated, "reboots": reboots}
    return (
        accepted,
        superseded,
        behind,
        {
            "boot": (who, now_boot), "top": (who, now_top), "window": (who, now_window),
            "old_boot": (who, old_boot), "old_top": (who, old_top), "old_window": (who, old_window),
        },
        {name: (who, np.add.reduceat(amount, runs.starts)) for name, amount in counts.items()},
    )  # fmt: skip


def _first(sequence: I8, parts: Runs) -> Mask:
    """Whether a row is the first of its generation in this batch with its sequence."""
    levels, rank = np.unique(sequence, return_inverse=True)
    _, where = np.unique(parts.of * len(levels) + rank, return_index=True)
    first = np.zeros(parts.size, bool)
    first[where] = True
    return first


def _seen(sequence: I8, top: I8, window: U8) -> Mask:
    """Whether the window of earlier batches holds the sequence."""
    depth = top - sequence
    inside = (depth >= 0) & (depth < REACH)
    bit = (window >> np.where(inside, depth, 0).astype(np.uint64)) & np.uint64(1)
    seen: Mask = inside & (bit == 1)
    return seen
