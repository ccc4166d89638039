"""Pictures are untrusted: what comes out is plain pixels, and a bad one hurts nobody but its own process."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from schemas.errors import InvalidError
from serve.pictures.decode import Decoder, frames, jpeg
from serve.pictures.sandbox import Limits, Sandbox
from tests.unit.pictures.samples import GPS, encoded, gradient, png, with_exif


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder()
    yield made
    made.close()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_good_pictures_come_out_as_they_are(decoder: Decoder, suffix: str) -> None:
    drawn = gradient(200, 150)
    apart = np.abs(decoder.decode(encoded(drawn, suffix)).astype(int) - drawn)
    assert np.quantile(apart, 0.95) <= 6


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparent_pictures_lose_their_transparency(decoder: Decoder, suffix: str) -> None:
    clear = np.dstack([gradient(), np.full((48, 64), 200, np.uint8)])
    assert decoder.decode(encoded(clear, suffix)).shape == (48, 64, 3)


def test_exif_turns_the_picture_and_is_gone(decoder: Decoder) -> None:
    drawn = gradient(64, 48)
    lying = with_exif(encoded(drawn), orientation=6)
    assert GPS in lying
    pixels = decoder.decode(lying)
    again = jpeg(pixels, 65_536)
    apart = np.abs(pixels.astype(int) - cv2.rotate(drawn, cv2.ROTATE_90_CLOCKWISE))
    assert pixels.shape == (64, 48, 3)
    assert np.quantile(apart, 0.95) <= 6
    assert GPS not in again
    assert b"Exif" not in again


def test_a_bomb_is_refused_before_anything_decodes_it() -> None:
    made = Decoder()
    bomb = png(50_000, 50_000, bytes(1_000_000))
    assert len(bomb) < 2_000
    with pytest.raises(InvalidError, match="50000 x 50000"):
        made.decode(bomb)
    assert made.sandbox.pid is None


def test_a_picture_that_does_not_fit_into_memory_is_refused(decoder: Decoder) -> None:
    small = Decoder(Limits(pixels=10**9, memory_mb=700))
    try:
        with pytest.raises(InvalidError, match="cannot be read"):
            small.decode(png(20_000, 20_000, bytes(20_001 * 20_000)))
        assert small.decode(encoded(gradient())).shape == (48, 64, 3)
    finally:
        small.close()


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(InvalidError, match="larger than 100"):
        Decoder(Limits(bytes=100)).decode(bytes(101))


def test_large_pictures_are_made_smaller() -> None:
    made = Decoder(Limits(longest=100))
    try:
        assert made.decode(encoded(gradient(400, 300))).shape == (75, 100, 3)
    finally:
        made.close()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_broken_pictures_are_refused_and_the_next_is_read(decoder: Decoder, suffix: str) -> None:
    whole = encoded(gradient(200, 150), suffix)
    with pytest.raises(InvalidError):
        decoder.decode(whole[: len(whole) // 2])
    assert decoder.decode(whole).shape == (150, 200, 3)


def test_a_png_whose_data_is_missing_is_refused(decoder: Decoder) -> None:
    with pytest.raises(InvalidError):
        decoder.decode(png(1_000, 1_000, b""))


def test_a_child_that_dies_in_the_middle_takes_nobody_down(decoder: Decoder) -> None:
    decoder.decode(encoded(gradient()))
    first = decoder.sandbox.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)  # so that it is in the middle of it for certain
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    with pytest.raises(InvalidError, match="ended the process"):
        decoder.decode(encoded(gradient()))
    killer.join()
    assert decoder.decode(encoded(gradient())).shape == (48, 64, 3)
    assert decoder.sandbox.pid not in (None, first)


def test_a_child_that_died_between_two_pictures_is_replaced(decoder: Decoder) -> None:
    decoder.decode(encoded(gradient()))
    assert decoder.sandbox.pid is not None
    os.kill(decoder.sandbox.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while decoder.sandbox.pid is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert decoder.decode(encoded(gradient())).shape == (48, 64, 3)


def test_a_child_that_hangs_is_killed_in_time() -> None:
    made = Decoder(Limits(seconds=0.5))
    try:
        with pytest.raises(InvalidError):
            made.sandbox.ask({"do": "unknown"})
        pid = made.sandbox.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(InvalidError, match=r"longer than 0\.5 s"):
            made.decode(encoded(gradient()))
        assert time.monotonic() - began < 3
        assert made.sandbox.pid is None
    finally:
        made.close()


def test_threads_take_turns(decoder: Decoder) -> None:
    sizes = [(20 + n, 30 + n) for n in range(12)]
    found: dict[int, tuple[int, ...]] = {}

    def read(n: int) -> None:
        found[n] = decoder.decode(encoded(gradient(*sizes[n]), ".png")).shape

    threads = [threading.Thread(target=read, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (height, width, 3) for n, (width, height) in enumerate(sizes)}


def test_a_child_that_says_more_than_it_sends_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sandbox()
    monkeypatch.setattr(made, "ask", lambda *_: ({"width": 10, "height": 10}, b"short"))
    with pytest.raises(InvalidError, match="confused"):
        made.pixels({"do": "decode"})


def test_a_new_jpeg_fits_into_its_bytes() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (600, 300, 3), np.uint8)
    data = jpeg(noise, 20_000)
    assert len(data) <= 20_000
    assert data.startswith(b"\xff\xd8\xff")


def test_a_video_gives_its_frames_with_their_times(tmp_path) -> None:
    path = tmp_path / "some.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for level in range(0, 200, 20):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    read = list(frames(path))
    assert [frame.at_us for frame in read] == [n * 100_000 for n in range(10)]
    assert [round(float(frame.pixels.mean()), -1) for frame in read] == list(range(0, 200, 20))
    assert [frame.at_us for frame in frames(path, every=3)] == [0, 300_000, 600_000]


def test_a_file_that_is_no_video_is_refused(tmp_path) -> None:
    path = tmp_path / "some.avi"
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidError, match="no video"):
        next(frames(path))
