"""Linear programs with integers, handed to HiGHS as arrays."""

from dataclasses import dataclass
from typing import Literal, Self

import highspy
import numpy as np
from scipy import sparse

from serve.siting.problem import GAP, Flags, Floats, Ints

_TOLERANCE = 1e-9
"""What HiGHS may miss a bound or a row by; its own default, 1e-6, is a person in a million."""


class _Silent(highspy.Highs):
    """HiGHS, which announces itself on standard output when callbacks are enabled, silenced before it can."""

    def enableCallbacks(self) -> None:  # noqa: N802 - the name is HiGHS's
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]


class Program:
    """Minimise `cost · x` under rows `lower ≤ A x ≤ upper` and `0 ≤ x ≤ upper`, columns added in blocks."""

    def __init__(self) -> None:
        self._cost: list[Floats] = []
        self._upper: list[Floats] = []
        self._lower: list[Floats] = []
        self._integral: list[Flags] = []
        self._parts: list[tuple[Ints, Ints, Floats]] = []
        self._rows: list[tuple[Floats, Floats]] = []
        self.columns = 0
        self.rows = 0

    def add(
        self, cost: Floats, *, integral: bool = False, lower: float | Floats = 0.0, upper: float | Floats = np.inf
    ) -> Ints:
        """Columns with these costs; their numbers."""
        count = len(cost)
        self._cost.append(np.asarray(cost, dtype=np.float64))
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), count))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), count))
        self._integral.append(np.full(count, integral))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def require(self, row: Ints, column: Ints, value: Floats, lower: Floats, upper: Floats) -> Self:
        """Rows with entries `(row, column, value)`, rows counted from 0 in this block."""
        self._parts.append((row + self.rows, column, value))
        self._rows.append((lower, upper))
        self.rows += len(lower)
        return self

    def at_most(self, columns: Ints, values: Floats, most: float) -> Self:
        """One row: the weighted sum of these columns is no more than `most`."""
        zeros = np.zeros(len(columns), dtype=np.intp)
        return self.require(zeros, columns, values, np.array([-np.inf]), np.array([most]))

    def below(self, small: Ints, large: Ints) -> Self:
        """`x[small] ≤ x[large]`, pair by pair."""
        count = len(small)
        at = np.arange(count)
        return self.require(
            np.concatenate([at, at]),
            np.concatenate([small, large]),
            np.concatenate([np.ones(count), -np.ones(count)]),
            np.full(count, -np.inf),
            np.zeros(count),
        )

    def solve(self, seconds: float, start: tuple[Ints, Floats] | None = None, within: float = 0.0) -> "Outcome":
        """The best solution within the time, proven but for `within`, or for a tenth of `GAP` of the objective.

        `start` sets some columns to values of a known solution.
        """
        solver = _Silent()  # type: ignore[no-untyped-call]
        for name, value in {
            "time_limit": max(seconds, 0.01),
            "mip_rel_gap": 0.0 if within else GAP / 10,
            "mip_abs_gap": within or 1e-9,
            "mip_feasibility_tolerance": _TOLERANCE,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        }.items():
            solver.setOptionValue(name, value)
        row, column, entry = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        matrix = sparse.csr_array((entry, (row, column)), shape=(self.rows, self.columns))
        integral = np.concatenate(self._integral)
        cost = np.concatenate(self._cost)
        solver.passModel(
            self.columns,
            self.rows,
            matrix.nnz,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            cost,
            np.concatenate(self._lower),
            np.concatenate(self._upper),
            np.concatenate([lower for lower, _ in self._rows]),
            np.concatenate([upper for _, upper in self._rows]),
            matrix.indptr.astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
            integral.astype(np.int32),
        )
        if start is not None:
            solver.setSolution(len(start[0]), start[0].astype(np.int32), start[1])
        solver.run()
        told = _outcome(solver, bool(integral.any()))
        if start is not None and told.x is not None and not np.isclose(cost @ told.x, told.objective, atol=1e-6):
            # HiGHS 1.16 gives the start back beside the objective of a better solution that presolving alone had found.
            solver.clearSolver()
            solver.run()
            told = _outcome(solver, bool(integral.any()))
        return told


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a program ended. `x` is None where no solution is known; `bound` is what none can go below."""

    status: Literal["optimal", "time-limit", "infeasible"]
    x: Floats | None
    objective: float
    bound: float


def _outcome(solver: _Silent, integral: bool) -> Outcome:
    status, info = solver.getModelStatus(), solver.getInfo()
    if status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}:
        return Outcome("infeasible", None, np.inf, np.inf)
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(solver.getSolution().col_value) if found else None
    objective = info.objective_function_value if found else np.inf
    if status == highspy.HighsModelStatus.kOptimal:
        return Outcome("optimal", x, objective, info.mip_dual_bound if integral else objective)
    if status != highspy.HighsModelStatus.kTimeLimit:
        raise RuntimeError(f"HiGHS ended as {solver.modelStatusToString(status)}: the program is not sound")
    return Outcome("time-limit", x, objective, info.mip_dual_bound if integral else -np.inf)
