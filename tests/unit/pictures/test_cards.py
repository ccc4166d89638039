"""What the cards say is what runs, and what the bench measured."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import SetupError
from schemas.models import ModelCard
from schemas.settings import Settings
from serve.pictures import fitted
from serve.pictures.cards import GALLERY_FACES, calibrations, cards
from serve.pictures.encoder import Encoder
from serve.search.calibration import fit, log_odds, probability
from tests.unit.pictures.shared import DETECTOR, ENCODER, FACES, SHARED, needs_faces, needs_models, needs_video


def by_kind(settings: Settings) -> dict[str, ModelCard]:
    detector, body, face, _ = cards(settings)
    return {"detector": detector, "body": body, "face": face}


def test_the_defaults_need_no_files_and_say_that_they_are_weak() -> None:
    told = by_kind(Settings())
    encoder = Encoder.of(Settings())
    assert (told["detector"].id, told["detector"].weak) == (encoder.detector.id, True)
    assert (told["body"].id, told["body"].weak) == (encoder.body.id, True)
    assert told["body"].dimensions == encoder.body.dimensions
    assert encoder.faces is not None
    assert told["face"].id == encoder.faces.id


@needs_models
def test_networks_by_path_are_named_by_their_weights() -> None:
    settings = Settings(person_detector=DETECTOR, person_encoder=ENCODER)
    told, encoder = by_kind(settings), Encoder.of(settings)
    assert (told["detector"].id, told["body"].id) == (encoder.detector.id, encoder.body.id)
    assert told["body"].dimensions == 256
    assert told["body"].digest.startswith("08e24c2f")
    assert told["body"].calibration == fitted.BODY_0288
    assert not told["body"].weak


@needs_models
def test_other_weights_of_the_same_name_have_no_calibration(tmp_path: Path) -> None:
    copy = tmp_path / ENCODER.name
    copy.write_bytes(ENCODER.read_bytes())
    weights = bytearray(ENCODER.with_suffix(".bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    copy.with_suffix(".bin").write_bytes(weights)
    body = by_kind(Settings(person_encoder=copy))["body"]
    assert body.calibration is None
    assert body.accuracy == ()


def test_every_card_warns_in_both_languages_and_every_figure_has_its_n() -> None:
    for card in cards(Settings()):
        assert any("가" <= letter <= "힣" for letter in card.bias_ko)
        assert card.licence
        assert card.source
        assert all(one.n > 0 for one in card.accuracy)
        assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_calibrations_go_by_model() -> None:
    told = calibrations(Settings())
    assert set(told) == {"body-colours.v1", GALLERY_FACES}
    at = told[GALLERY_FACES]
    assert at.prior < float(probability(at, at.threshold)) < float(probability(at, 0.97))


def test_a_missing_file_is_said() -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        cards(Settings(person_encoder=Path("/nowhere/model.xml")))


@needs_faces
def test_the_calibration_of_the_face_gallery_is_what_its_data_give() -> None:
    vectors, labels = np.load(FACES / "embeddings.npy"), np.load(FACES / "labels.npy")
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    upper = np.triu_indices(len(labels), 1)
    same = labels[upper[0]] == labels[upper[1]]
    found, card = fit((vectors @ vectors.T)[upper], same), fitted.GALLERY_FACES
    assert (card.same_pairs, card.different_pairs) == (same.sum(), (~same).sum())
    assert found.a == pytest.approx(card.a, abs=0.1)
    assert found.b + log_odds(card.prior) == pytest.approx(card.b, abs=0.1)
    assert found.threshold == pytest.approx(card.threshold, abs=1e-3)


@needs_faces
@needs_models
@needs_video
def test_the_bench_of_quality_runs_and_faces_meet_what_the_card_says() -> None:
    from bench.search_quality import measure  # noqa: PLC0415 - for those who have the data

    report = asyncio.run(measure(SHARED / "data", SHARED / "models", quick=True))
    figures = report.figures
    assert figures["faces_rank1"].value >= 0.98
    assert figures["faces_named_rightly"].value >= 0.9
    assert figures["faces_nobody_named"].value <= 0.2
    assert all("n = " in figure.unit for name, figure in figures.items() if "rank" in name)
    assert set(report.ratios) == {"body_over_colours"}
