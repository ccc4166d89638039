"""A real street with real networks: plausible tracklets, and people found again by another (simulated) camera."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.people import people
from schemas.errors import SetupError
from schemas.settings import Settings
from serve.pictures.decode import frames
from serve.pictures.detect import HogDetector, NetworkDetector
from serve.pictures.embed import NetworkEmbedder
from serve.pictures.encoder import Encoder
from tests.unit.pictures.shared import DETECTOR, ENCODER, VIDEO, needs_models, needs_video

pytestmark = [needs_models, needs_video]
T0, SECONDS = 1_700_000_000_000_000, 15


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(person_detector=DETECTOR, person_encoder=ENCODER)


def sightings(settings: Settings) -> pa.Table:
    taken = ((T0 + one.at_us, one.pixels) for one in frames(VIDEO, every=2) if one.at_us < SECONDS * 1_000_000)
    return pa.concat_tables(Encoder.of(settings).session(taken, "cam-1"))


def test_a_street_gives_a_sighting_for_a_person_and_not_for_a_frame(settings: Settings) -> None:
    table = sightings(settings)
    boxes = np.array(table["box"].to_pylist())
    assert 8 <= table.num_rows <= 30  # about a dozen people walk by in these 15 seconds, some of them twice
    assert len(set(table["sighting_id"].to_pylist())) == table.num_rows
    assert set(table["model"].to_pylist()) == {"person-reidentification-retail-0288.08e24c2f"}
    assert {len(one) for one in table["embedding"].to_pylist()} == {256}
    assert (boxes >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 480).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 360).all()
    assert np.median(boxes[:, 3] / boxes[:, 2]) > 1.7
    assert table["sighting_id"].to_pylist() == sightings(settings)["sighting_id"].to_pylist()


def test_people_are_found_again_after_a_simulated_change_of_camera() -> None:
    seen = people(VIDEO, NetworkDetector(DETECTOR), every=2, until_us=20_000_000)
    encoder = NetworkEmbedder(ENCODER)
    cosines = encoder.embed([one.same for one in seen]) @ encoder.embed([one.best for one in seen]).T
    first = (cosines.argmax(axis=1) == np.arange(len(seen))).mean()
    assert len(seen) >= 8
    assert first >= 0.8


def test_the_built_in_detector_sees_people_too() -> None:
    heights = [HogDetector().detect(one.pixels).boxes[:, 3] for one in frames(VIDEO, every=100)]
    assert sum(len(one) for one in heights) >= len(heights)


def test_a_batch_gives_what_single_crops_give() -> None:
    encoder = NetworkEmbedder(ENCODER)
    crops = [one.best for one in people(VIDEO, NetworkDetector(DETECTOR), until_us=4_000_000)]
    alone = np.concatenate([encoder.embed([crop]) for crop in crops])
    assert np.abs(encoder.embed(crops) - alone).max() < 0.02
    assert encoder.embed([]).shape == (0, 256)


def test_networks_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no embeddings"):
        NetworkEmbedder(DETECTOR)
    (first,) = (one for one in frames(VIDEO, every=700))
    with pytest.raises(SetupError, match="no detector"):
        NetworkDetector(ENCODER).detect(first.pixels)
    with pytest.raises(SetupError, match="cannot be used"):
        NetworkDetector(tmp_path / "missing.xml")
    with pytest.raises(SetupError, match="cannot be used on the device ABACUS"):
        NetworkDetector(DETECTOR, "ABACUS")
