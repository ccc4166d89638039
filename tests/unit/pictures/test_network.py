"""Networks by path: ONNX files, files that are of no use, and what networks leave behind when they are freed."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from schemas.errors import SetupError
from schemas.settings import Settings
from serve.pictures import faces
from serve.pictures.cards import cards
from serve.pictures.detect import Detections
from serve.pictures.embed import NetworkEmbedder
from serve.pictures.encoder import Encoder
from serve.pictures.network import Network
from serve.pictures.sandbox import Pixels
from tests.unit.pictures.fakes import BLUE, GREEN, RED, MeanColour, street
from tests.unit.pictures.onnx import FLATTEN, GLOBAL_AVERAGE_POOL, model
from tests.unit.pictures.shared import DETECTOR, needs_models

MEANS = model(("n", 3, 64, 32), ("n", 3), GLOBAL_AVERAGE_POOL, FLATTEN)
"""The mean of each channel."""


class Whole:
    """Takes every picture for one person."""

    id = "whole"

    def detect(self, pixels: Pixels) -> Detections:
        height, width = pixels.shape[:2]
        return Detections(np.array([[0, 0, width, height]], np.int32), np.ones(1, np.float32))


@pytest.fixture
def means(tmp_path: Path) -> Path:
    path = tmp_path / "means.onnx"
    path.write_bytes(MEANS)
    return path


def test_an_onnx_file_by_path_embeds_crops_alone_and_in_batches(means: Path) -> None:
    embedder = NetworkEmbedder(means)
    crops = [np.full((64, 32, 3), colour, np.uint8) for colour in (RED, BLUE, GREEN, (40, 80, 160))]
    assert embedder.dimensions == 3
    np.testing.assert_allclose(embedder.embed(crops), MeanColour().embed(crops), atol=5e-3)
    np.testing.assert_allclose(embedder.embed(crops[1:2]), MeanColour().embed(crops[1:2]), atol=5e-3)


def test_an_onnx_file_that_the_settings_name_makes_sightings_under_its_own_name(means: Path) -> None:
    settings = Settings(person_encoder=means)
    encoder, (_, card, *_) = Encoder.of(settings), cards(settings)
    assert card.id == encoder.body.id
    assert card.id.startswith("means.")
    assert (card.kind, card.dimensions) == ("body", 3)
    (look,) = encoder.looks([one.kept for one in Encoder(Whole(), encoder.body, None).detections(street((50, RED)))])[0]
    assert (look.model, look.embedding.shape) == (card.id, (3,))


def test_the_card_of_an_onnx_file_changes_with_its_weights(means: Path) -> None:
    first = NetworkEmbedder(means).id
    means.write_bytes(model(("n", 3, 32, 32), ("n", 3), GLOBAL_AVERAGE_POOL, FLATTEN))
    assert NetworkEmbedder(means).id != first


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.onnx", b"nonsense", "cannot be used"),
        ("a.onnx", b"", "cannot be used"),
        ("a.pt", MEANS, "name an .xml file of OpenVINO"),
        ("a.onnx", model(("n", 5), ("n", 5), FLATTEN), "takes no pictures"),
        ("a.onnx", model(("n", 3, 64, 32), ("n", 3), "Nonesuch"), "cannot read its operator"),
    ],
)
def test_a_file_of_no_use_is_refused_with_the_reason(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SetupError, match=why):
        NetworkEmbedder(path)


def test_an_onnx_file_that_openvino_cannot_read_is_refused_with_what_to_give_instead() -> None:
    with pytest.raises(SetupError, match=r"operator DequantizeLinear-21 .* plain 32-bit floats"):
        NetworkEmbedder(faces.weights(faces.ENCODER))


def test_a_device_that_is_not_there_is_refused_with_those_that_are(means: Path) -> None:
    with pytest.raises(SetupError, match=r"on the device ABACUS: .*OpenVINO finds here: .*CPU"):
        Network(means, "ABACUS")


@needs_models
def test_a_signal_finds_the_process_alive_after_its_networks_were_freed() -> None:
    story = f"""
        import gc, signal
        from pathlib import Path
        from serve.pictures.network import Network
        networks = [Network(Path({str(DETECTOR)!r})) for _ in range(2)]
        while networks:
            networks.pop(0)
            gc.collect()
        signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
        signal.raise_signal(signal.SIGUSR1)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(story)], capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
