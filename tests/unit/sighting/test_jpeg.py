"""Of a JPEG the picture is kept, and nothing else."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sighting.jpeg import bare
from tests.unit.jpegs import jpeg, segment
from tests.unit.pictures.samples import GPS, encoded, gradient, with_exif
from tests.unit.sighting.scenario import City, register, row

SECRET = b"37.8813 N 127.7300 E, Hong Gil-dong's phone"
FORMS = {
    "plain": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "with restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}


def written(options: list[int]) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    return cv2.imencode(".jpg", noise, options)[1].tobytes()


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_jpeg_loses_what_is_said_beside_the_picture_and_no_pixel(form: str) -> None:
    whole = written(FORMS[form])
    said = b"".join(segment(kind, SECRET) for kind in (*range(0xE0, 0xF0), 0xFE, 0xF0))
    scan = whole.rindex(b"\xff\xda")
    told = whole[:2] + said + whole[2:scan] + segment(0xFE, SECRET) + whole[scan:] + SECRET + whole
    found = bare(told)
    assert found is not None
    assert SECRET not in found
    assert found == bare(whole)
    np.testing.assert_array_equal(pixels(found), pixels(whole))


def test_the_place_that_a_phone_wrote_down_is_gone() -> None:
    told = with_exif(encoded(gradient()), 6)
    found = bare(told)
    assert GPS in told
    assert found is not None
    assert GPS not in found
    assert b"Exif" not in found


def test_how_colours_are_coded_is_kept() -> None:
    adobe = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x01")
    longer = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x01" + SECRET)
    assert bare(jpeg(b"scan", adobe, longer)) == jpeg(b"scan", adobe)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff\xd9",
        jpeg()[:-2],
        jpeg()[:-4] + b"\xff\x00",
        b"\xff\xd8" + segment(0xE1, b"x")[:-1],
        b"\xff\xd8\xff\xe1\x00\x01" + jpeg()[2:],
        b"\xff\xd8abc" + jpeg()[2:],
        b"\xff\xd8\xff\xff\xff",
        jpeg(b"scan", *[segment(0xFE)] * 100),
    ],
)
def test_what_is_no_whole_jpeg_is_none(data: bytes) -> None:
    assert bare(data) is None


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_whatever_comes_is_bared_once_and_for_all_or_is_none(more: bytes, place: int, byte: int) -> None:
    data = bytearray(jpeg(more, segment(0xE1, more)))
    data[place % len(data)] = byte
    found = bare(bytes(data))
    assert found is None or (bare(found) == found and len(found) <= len(data))


def test_a_sighting_is_stored_without_the_metadata_of_its_picture() -> None:
    city = City()
    city.do(register())
    city.hear(row("s-1", picture=jpeg(b"one", segment(0xE1, SECRET))), row("s-2"))
    (stored,) = city.objects.values()
    assert SECRET not in stored
    (block,) = city.blocks()
    assert city.table(block)["picture"].to_pylist() == [jpeg(b"one"), None]
