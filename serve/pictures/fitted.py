"""What `bench/search_quality.py` fitted: the calibrations that the model cards show, with their n and data.

The false positive rates are those of persons held out; for bodies they miss what the threshold was chosen for (0.1 %),
because 334 pairs are too few to choose by.
"""

from schemas.models import Calibration
from serve.search.calibration import PRIOR, log_odds


def _made(
    a: float, b: float, threshold: float, rate: float, pairs: tuple[int, int], persons: int, data: str
) -> Calibration:
    same, different = pairs
    return Calibration(
        a=a,
        b=b + log_odds(PRIOR),
        prior=PRIOR,
        threshold=threshold,
        false_positive_rate=rate,
        same_pairs=same,
        different_pairs=different,
        persons=persons,
        data=data,
    )


_STREET = "tracklets of one street video (OpenCV's vtest.avi), the other camera SIMULATED; not known for real cameras"
_OLIVETTI = "20 persons x 10 face embeddings of the Olivetti photographs"

GALLERY_FACES = _made(137.5, -126.258, 0.9345, 0.0045, (900, 19_000), 20, _OLIVETTI)
BODY_0288 = _made(8.06, -2.525, 0.595, 0.016, (40, 334), 40, _STREET)
COLOURS = _made(7.305, -4.796, 0.928, 0.016, (40, 334), 40, _STREET)
