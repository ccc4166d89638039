"""Whether anybody was found at all: who looks most alike need not look alike enough."""

from collections.abc import Mapping, Sequence

from schemas.models import Calibration
from schemas.person import Candidate

_NOBODY = (
    "기준값에 이른 후보가 없음: 검색한 목격 가운데 찾는 사람이라고 볼 만한 사람이 없음. 없었다는 증거는 아님.",
    "No candidate reaches the threshold of its model: nobody among the sightings searched looks enough like the "
    "person. This is no proof that the person was not there.",
)
_UNKNOWN = (
    "기준값에 이른 후보는 없으나, 보정되지 않은 모델의 후보가 있어 아무도 없다고 말할 수 없음.",
    "No candidate reaches a threshold, but some are of a model without a calibration: whether nobody was found is not "
    "known.",
)
_SOMEBODY = (
    "기준값 이상인 후보가 있음. 본인인지는 사람이 확인함.",
    "There are candidates at the threshold of their model or above. Whether it is the person, a human decides.",
)


def above_threshold(candidate: Candidate, calibrations: Mapping[str, Calibration]) -> bool | None:
    """Whether a candidate's score reaches its model's threshold; None where that has none."""
    known = calibrations.get(candidate.model)
    return None if known is None else candidate.score >= known.threshold


def verdict(candidates: Sequence[Candidate], calibrations: Mapping[str, Calibration]) -> dict[str, bool | str | None]:
    """`nobody`: none reaches its threshold; None where that is not known of all. A sentence of it in both languages."""
    reached = {above_threshold(one, calibrations) for one in candidates}
    if True in reached:
        return _said(False, *_SOMEBODY)
    return _said(None, *_UNKNOWN) if None in reached else _said(True, *_NOBODY)


def _said(nobody: bool | None, korean: str, english: str) -> dict[str, bool | str | None]:
    return {"nobody": nobody, "nobody_ko": korean, "nobody_en": english}
