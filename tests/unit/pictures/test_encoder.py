"""Frames to sightings, and photographs to what one searches with; with fakes for the networks."""

import numpy as np
import pytest

from schemas.errors import InvalidError
from schemas.sighting import ATTRIBUTES, MAX_PICTURE, SIGHTINGS, Sighting
from serve.pictures.embed import ColourEmbedder
from serve.pictures.encoder import Encoder
from serve.pictures.faces import Faces
from serve.pictures.sandbox import Pixels
from tests.unit.pictures.fakes import BLUE, GREEN, RED, MeanColour, Rectangles, street
from tests.unit.pictures.samples import face, person

T0, STEP_US = 1_700_000_000_000_000, 100_000


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(Rectangles(), MeanColour(), Faces())


def walk(frames: int = 20) -> list[Pixels]:
    return [street((10 + 3 * n, RED), (250 - 3 * n, BLUE)) for n in range(frames)]


def times(frames: list[Pixels], step_us: int = STEP_US) -> list[int]:
    return [T0 + n * step_us for n in range(len(frames))]


def test_two_people_who_walk_by_are_two_sightings(encoder: Encoder) -> None:
    frames = walk()
    table = encoder.sightings(frames, "cam-1", times(frames))
    assert table.schema == SIGHTINGS
    assert table.num_rows == 2
    table.validate(full=True)
    assert table["camera"].to_pylist() == ["cam-1", "cam-1"]
    assert sorted(row["upper"] for row in table["attributes"].to_pylist()) == ["blue", "red"]
    assert all(set(row) == set(ATTRIBUTES) for row in table["attributes"].to_pylist())
    assert all(T0 <= time.value <= T0 + 19 * STEP_US for time in table["time"])
    assert all(0 < one <= 1 for one in table["quality"].to_pylist())
    assert all(data.startswith(b"\xff\xd8") and len(data) <= MAX_PICTURE for data in table["picture"].to_pylist())


def test_a_row_is_a_valid_sighting(encoder: Encoder) -> None:
    row = encoder.sightings(walk(), "cam-1", times(walk())).drop_columns("picture").to_pylist()[0]
    assert Sighting.model_validate(row).camera == "cam-1"


def test_the_same_frames_give_the_same_ids_and_others_other_ones(encoder: Encoder) -> None:
    frames = walk()

    def ids(camera: str, shift: int) -> list[str]:
        later = [time + shift for time in times(frames)]
        return encoder.sightings(frames, camera, later)["sighting_id"].to_pylist()

    told = ids("cam-1", 0)
    assert told == ids("cam-1", 0)
    assert len({*told, *ids("cam-2", 0), *ids("cam-1", 1)}) == 6


def test_snapshots_far_apart_are_sightings_of_their_own(encoder: Encoder) -> None:
    frames = [street((50, RED)), street((50, RED)), street()]
    table = encoder.sightings(frames, "cam-1", times(frames, 5_000_000))
    assert table.num_rows == 2


def test_an_empty_street_is_an_empty_table(encoder: Encoder) -> None:
    table = encoder.sightings([street()], "cam-1", [T0])
    assert table.schema == SIGHTINGS
    assert table.num_rows == 0


def test_a_session_tells_of_a_tracklet_when_it_has_ended(encoder: Encoder) -> None:
    frames = [*[street((50, RED))] * 5, *[street()] * 15, *[street((50, GREEN))] * 5]
    tables = list(encoder.session(zip(times(frames), frames, strict=True), "cam-1"))
    assert [table.num_rows for table in tables] == [1, 1]


def test_a_face_that_is_large_enough_is_a_second_embedding(encoder: Encoder) -> None:
    pixels = street(width=800, height=700)
    pixels[200:520, 300:620] = face(320)
    found = encoder.query(pixels)
    faces = [one for one in found if one.kind == "face"]
    assert len(faces) == 1
    assert faces[0].embedding.shape == (128,)
    assert np.linalg.norm(faces[0].embedding) == pytest.approx(1, abs=1e-5)
    x, y, width, height = faces[0].box
    assert 350 < x + width / 2 < 570
    assert 280 < y + height / 2 < 460
    assert 0 < faces[0].quality <= 1


def test_a_small_face_is_left_out(encoder: Encoder) -> None:
    assert encoder.faces is not None
    pixels = street()
    pixels[100:140, 100:140] = face(320)[::8, ::8]
    assert encoder.faces.find(pixels) == []
    assert len(encoder.faces.find(face(320))) == 1


def test_a_crop_of_one_person_is_taken_whole() -> None:
    class Blind(Rectangles):
        def detect(self, pixels: Pixels):
            return super().detect(street())

    (one,) = Encoder(Blind(), ColourEmbedder(), None).query(person((20, 20, 200), (190, 60, 20)))
    assert (one.kind, one.box) == ("body", (0, 0, 80, 160))
    assert one.attributes == {"upper": "red", "lower": "blue"}


def test_a_photograph_of_nobody_is_refused(encoder: Encoder) -> None:
    with pytest.raises(InvalidError, match="no person"):
        encoder.query(street())


def test_several_photographs_are_answered_in_order(encoder: Encoder) -> None:
    answers = encoder.queries([street((50, RED), (200, BLUE)), street(), street((90, GREEN))])
    assert [len(one) for one in answers] == [2, 0, 1]
    assert answers[2][0].attributes["upper"] == "green"
    assert encoder.queries([]) == []
