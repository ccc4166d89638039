"""What a solution says of itself in a sentence, in Korean and English."""

import numpy as np

from serve.siting.problem import Problem, Status

Said = tuple[str, str]


def impossible(problem: Problem) -> Said | None:
    """Why there can be no solution, if that can be seen without looking for one, and what to change."""
    if not problem.present.any():
        return (
            "수요가 하나도 없습니다: 어떤 시간대에든 0보다 큰 수요를 주십시오",
            "there is no demand in any slot: give a weight above 0 to some point",
        )
    if problem.model == "lscp":
        return _out_of_reach(problem)
    can = (problem.number is None or problem.number > 0) and (~problem.existing).any()
    cheapest = problem.cost[~problem.existing].min(initial=np.inf)
    dear = problem.budget is not None and cheapest > problem.budget
    if problem.existing.any() or problem.model == "mclp" or (can and not dear):
        return None
    if problem.budget is not None and can:
        return (
            f"예산 {problem.budget:,.0f}으로는 가장 싼 후보지(비용 {cheapest:,.0f})도 못 엽니다: 예산을 늘리십시오",
            f"a budget of {problem.budget:,.0f} opens no site, the cheapest costs {cheapest:,.0f}: raise the budget",
        )
    return (
        "열 수 있는 시설이 하나도 없습니다: 설치 수를 1 이상으로 하거나 후보지 또는 기존 시설을 주십시오",
        "no site can stand open: ask for 1 or more, or give candidates or existing sites",
    )


def _out_of_reach(problem: Problem) -> Said | None:
    nearest = problem.distances.min(axis=1, initial=np.inf)
    far = problem.present & (nearest > problem.furthest)
    if not far.any():
        return None
    needed = float(nearest[far].max())
    if not np.isfinite(needed):
        return "후보지도 기존 시설도 없습니다: 후보지를 주십시오", "there is no site at all: give candidates"
    return (
        f"수요 지점 {far.sum():,}곳은 어느 후보지에서도 도달 거리 밖입니다: 거리를 {np.ceil(needed):,.0f} m로 늘리거나 "
        "가까운 후보지를 더하십시오",
        f"{far.sum():,} demand points lie beyond the reach of every site: raise the reach to {np.ceil(needed):,.0f} m, "
        "or add candidates near them",
    )


def said(problem: Problem, status: Status, gap: float | None, chosen: int | None) -> Said:
    """How far to trust a solution; `chosen` is the number of its new sites, None where there is none."""
    if status == "infeasible":
        return _too_full(problem)
    if status == "optimal":
        return _proven(problem, chosen or 0)
    if chosen is None:
        return (
            "시간 제한 안에 해를 찾지 못했습니다: 제한 시간·용량·설치 수를 늘리거나 지점을 줄이십시오",
            "no solution was found in the time: raise the time limit, capacity or number, or give fewer points",
        )
    korean = "최적값과의 차이는 알 수 없음" if gap is None else f"최적값과의 차이 최대 {gap:.2%}"
    english = "how far from the optimum is not known" if gap is None else f"at most {gap:.2%} from the optimum"
    if status == "time-limit":
        return (
            f"시간 제한 안에 찾은 가장 좋은 해입니다({korean}): 더 정확히 하려면 제한 시간을 늘리십시오",
            f"the best found within the time limit, {english}: raise the limit for more",
        )
    return (
        f"문제가 커서 근사 해법(휴리스틱)으로 풀었습니다({korean}): 지점이나 후보지를 줄이면 정확히 풉니다",
        f"found by a heuristic, {english}: too large to be solved exactly, give fewer points or candidates",
    )


def _proven(problem: Problem, chosen: int) -> Said:
    korean, english = "최적해임이 증명되었습니다", "proven optimal"
    if problem.number is None or chosen == problem.number:
        return korean, english
    if chosen > problem.number:
        return (
            f"{korean}: 요청한 {problem.number}곳보다 많은 {chosen}곳이 필요합니다",
            f"{english}: {chosen} new sites are needed, more than the {problem.number} asked for",
        )
    if problem.budget is not None:  # it may be the budget that ends there
        return korean, english
    return (
        f"{korean}: 요청한 {problem.number}곳 가운데 {chosen}곳이면 되고, 더 열어도 나아지지 않습니다",
        f"{english}: {chosen} of the {problem.number} asked for are enough, more would not better the objective",
    )


def _too_full(problem: Problem) -> Said:
    demand, room = problem.demand.sum(axis=0).max(), problem.capacity.sum()
    return (
        f"용량이 모자랍니다(가장 붐비는 시간대의 수요 {demand:,.0f}, 모든 시설의 용량 {room:,.0f}): "
        "설치 수·예산·용량이나 도달 거리를 늘리십시오",
        f"capacity does not suffice (demand of the fullest slot {demand:,.0f}, room of all sites {room:,.0f}): "
        "raise number, budget, capacity or reach",
    )
