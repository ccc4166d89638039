"""The deployment's own class, without Ray, and the wrong uses of the command."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from schemas.errors import BomnaeError, InvalidError
from schemas.settings import Settings
from schemas.sighting import SIGHTINGS
from serve.commands.cameras import moment, sources
from serve.pictures.deployment import Encoding
from serve.pictures.encoder import Encoder
from tests.unit.pictures.fakes import BLUE, RED, MeanColour, Rectangles, street
from tests.unit.pictures.samples import encoded


@pytest.fixture
def encoding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Encoder, "of", lambda _: Encoder(Rectangles(), MeanColour(), None))
    made = Encoding(Settings())
    yield made
    made._decoder.close()


async def test_a_bad_picture_does_not_harm_the_others_of_its_batch(encoding: Encoding) -> None:
    good, empty = encoded(street((50, RED), (200, BLUE))), encoded(street())
    answers = await encoding.describe([good, b"GIF89a", empty, good])
    kinds = [type(one) if isinstance(one, BomnaeError) else len(one) for one in answers]
    assert kinds == [2, InvalidError, InvalidError, 2]


async def test_a_snapshot_becomes_an_arrow_stream(encoding: Encoding) -> None:
    data = await encoding.sightings("cam-1", encoded(street((50, RED))), 1_700_000_000_000_000)
    table = pa.ipc.open_stream(data).read_all()
    assert (table.schema, table.num_rows) == (SIGHTINGS, 1)
    assert await encoding.sightings("cam-1", encoded(street()), 0) == b""
    with pytest.raises(InvalidError):
        await encoding.sightings("cam-1", b"nothing", 0)


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
