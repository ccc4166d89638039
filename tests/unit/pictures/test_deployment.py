"""The deployment's own class, without Ray, and the wrong uses of the command."""

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from schemas.errors import BomnaeError, InvalidError, UnavailableError
from schemas.settings import Settings
from schemas.sighting import ATTRIBUTES
from serve.commands.cameras import moment, sources
from serve.pictures.deployment import PHOTO_BYTES, Encoding
from serve.pictures.encoder import Encoder, Taken
from serve.pictures.wire import from_bytes
from tests.unit.pictures.fakes import BLUE, RED, MeanColour, Rectangles, street
from tests.unit.pictures.samples import GPS, encoded, with_exif


@pytest.fixture
def encoding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Encoder, "of", lambda _: Encoder(Rectangles(), MeanColour(), None))
    made = Encoding(Settings())
    yield made
    made._decoder.close()


async def test_a_bad_picture_does_not_harm_the_others_of_its_batch(encoding: Encoding) -> None:
    good, empty = encoded(street((50, RED), (200, BLUE))), encoded(street())
    answers = await encoding.describe([good, b"GIF89a", empty, good])
    kinds = [type(one) if isinstance(one, BomnaeError) else len(one.people) for one in answers]
    assert kinds == [2, InvalidError, InvalidError, 2]


async def test_what_is_kept_of_a_photograph_shows_the_same_and_says_nothing_of_where_it_was_taken(
    encoding: Encoding,
) -> None:
    large = cv2.resize(street((50, RED)), None, fx=8, fy=8)
    came = with_exif(encoded(large), 1)
    (taken,) = await encoding.describe([came])
    assert isinstance(taken, Taken)
    assert GPS in came
    assert GPS not in taken.picture
    assert b"Exif" not in taken.picture
    kept = encoding._decoder.decode(taken.picture)
    assert kept.shape == (1440, 1920, 3)
    assert len(taken.picture) <= PHOTO_BYTES
    small = cv2.resize(large, (1920, 1440), interpolation=cv2.INTER_AREA)
    assert np.abs(kept.astype(int) - small).mean() < 3


async def test_pictures_of_cameras_share_a_run_and_a_bad_one_harms_no_other(encoding: Encoding) -> None:
    good, empty = encoded(street((50, RED), (200, BLUE))), encoded(street())
    answers = await encoding.follow([good, b"GIF89a", empty])
    assert isinstance(answers[1], InvalidError)
    assert [len(from_bytes(one)) for one in (answers[0], answers[2]) if isinstance(one, bytes)] == [2, 0]


async def test_whoever_follows_people_elsewhere_is_told_all_that_an_encoder_at_hand_would_tell(
    encoding: Encoding,
) -> None:
    picture = encoded(street((50, RED), (200, BLUE)))
    (here,) = encoding._encoder.people([encoding._decoder.decode(picture)])
    (answer,) = await encoding.follow([picture])
    assert isinstance(answer, bytes)
    there = from_bytes(answer)
    assert [one.box for one in there] == [one.box for one in here]
    assert len(there) == 2
    for one, other in zip(there, here, strict=True):
        np.testing.assert_array_equal(one.look, other.look)
        assert one.quality == pytest.approx(other.quality)
        (told,), (known,) = one.kept, other.kept
        np.testing.assert_array_equal(told.embedding, known.embedding)
        assert (told.model, told.box) == (known.model, known.box)
        assert told.attributes == dict.fromkeys(ATTRIBUTES) | (known.attributes or {})
        assert told.picture == known.picture
        assert told.picture.startswith(b"\xff\xd8")


def test_an_answer_that_is_no_picture_of_people_is_a_clear_error() -> None:
    with pytest.raises(UnavailableError, match="not understood"):
        from_bytes(b"<html>")


def test_every_url_has_a_camera_of_its_own() -> None:
    (one,) = sources(["http://10.0.0.7/snap"], ["cam-1"], 2.0)
    assert (one.camera, one.every_s) == ("cam-1", 2.0)
    for urls, ids, every_s in (
        (["http://a"], [], 1.0),
        (["http://a", "http://b"], ["cam-1", "cam-1"], 1.0),
        (["file:///etc/passwd"], ["cam-1"], 1.0),
        (["http://a"], ["cam-1"], 0.0),
    ):
        with pytest.raises(InvalidError):
            sources(urls, ids, every_s)


def test_the_begin_of_a_video_needs_its_zone() -> None:
    assert moment("2026-01-15T09:00:00+09:00") == datetime(2026, 1, 15, tzinfo=UTC)
    for text in ("", "yesterday", "2026-01-15T09:00:00"):
        with pytest.raises(InvalidError, match="zone"):
            moment(text)
