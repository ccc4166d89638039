"""What is known of a picture before anything decodes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidError
from serve.pictures.header import Header, read_header
from tests.unit.pictures.samples import encoded, gradient, png, with_exif


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_format_and_size_are_read_from_the_header(suffix: str) -> None:
    name = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}[suffix]
    assert read_header(encoded(gradient(70, 50), suffix)) == Header(name, 70, 50)  # type: ignore[arg-type]


def test_a_lossy_webp_tells_its_size_too() -> None:
    assert read_header(encoded(gradient(70, 50), ".webp", quality=50)).width == 70


def test_a_jpeg_with_exif_tells_the_size_as_stored() -> None:
    assert read_header(with_exif(encoded(gradient(70, 50)), 6)) == Header("jpeg", 70, 50)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM" + bytes(100),
        b"II*\x00" + bytes(100),
        b"%PDF-1.7",
        b"RIFF\x04\x00\x00\x00WAVE",
    ],
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidError, match="neither JPEG nor PNG nor WebP"):
        read_header(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_file_that_ends_too_early_is_refused(suffix: str, share: float) -> None:
    whole = encoded(gradient(200, 150), suffix)
    with pytest.raises(InvalidError):
        read_header(whole[: max(12, int(len(whole) * share))])


def test_an_end_mark_in_the_exif_of_a_cut_jpeg_does_not_count() -> None:
    whole = encoded(gradient(200, 150))
    block = b"\xff\xe1\x00\x06\xff\xd9\xff\xd9"
    with pytest.raises(InvalidError, match="cut off"):
        read_header(whole[:2] + block + whole[2:-2])


def test_pictures_without_pixels_and_animations_are_refused() -> None:
    with pytest.raises(InvalidError, match="no pixels"):
        read_header(png(0, 10))
    animation = b"RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00" + bytes(6)
    with pytest.raises(InvalidError, match="animated"):
        read_header(animation)


def test_endless_markers_end() -> None:
    with pytest.raises(InvalidError, match="markers"):
        read_header(b"\xff\xd8" + b"\xff" * 1_000_000)


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\x00\x00\x00WEBP"]), st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(start: bytes, rest: bytes) -> None:
    try:
        read_header(start + rest)
    except InvalidError:
        return
