"""Real networks and data that lie beside the project; tests that need them are skipped where they are absent."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[4] / "shared"
VIDEO, FACES = SHARED / "data/video/vtest.avi", SHARED / "data/faces"
DETECTOR = SHARED / "models/person-detection-retail-0013.xml"
ENCODER = SHARED / "models/person-reidentification-retail-0288.xml"

needs_models = pytest.mark.skipif(
    not (DETECTOR.exists() and ENCODER.exists()), reason=f"no networks under {SHARED / 'models'}"
)
needs_video = pytest.mark.skipif(not VIDEO.exists(), reason=f"no video at {VIDEO}")
needs_faces = pytest.mark.skipif(not FACES.exists(), reason=f"no face embeddings at {FACES}")
