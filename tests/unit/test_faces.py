"""Embeddings of faces as sightings: what is real, what is made up, and that a second replay is the same one."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actors.sighting.rows import read as read_rows
from schemas.errors import InvalidError
from schemas.packs.load import load_pack
from schemas.sighting import SIGHTINGS, RegisterCamera
from serve.commands.calls import calls
from serve.search.journey import Stop, leg
from streams import subjects
from streams.connectors import faces
from streams.connectors.feeder import to_stream
from streams.ingest import Observed
from tests.unit.pictures.shared import FACES, needs_faces

NOW = datetime(2026, 1, 15, 3, tzinfo=UTC)
PERSONS = [person for person in range(1, 21) for _ in range(10)]


@pytest.fixture
def gallery() -> faces.Gallery:
    vectors = np.random.default_rng(7).normal(size=(200, 8)).astype(np.float32)
    return faces.Gallery(vectors, np.array(PERSONS))


def stop(seen: faces.Seen) -> Stop:
    _, _, lon, lat = faces.CAMERAS[seen.camera]
    return Stop(str(seen.row), seen.camera, lon, lat, NOW - seen.before, 1.0, confirmed=True)


def test_everybody_walks_from_camera_to_camera_no_faster_than_a_person_walks() -> None:
    walks = faces.walks(PERSONS)
    assert [one.row for one in walks] == list(range(200))
    for person in set(PERSONS):
        way = [one for one in walks if one.person == person]
        assert [one.place for one in way] == list(range(10))
        for one, other in pairwise(way):
            assert one.before > other.before > timedelta(0)
            assert one.camera != other.camera
            assert leg(stop(one), stop(other)).mode == "walk"


def test_a_replay_is_the_same_whenever_it_runs_but_for_its_times(gallery: faces.Gallery) -> None:
    first = faces.sightings(gallery, "a-model", NOW)
    later = faces.sightings(gallery, "a-model", NOW + timedelta(days=1))
    assert first.keys() == later.keys()
    for camera, table in first.items():
        assert table.drop_columns(["time"]).equals(later[camera].drop_columns(["time"]))
        times = (later[camera]["time"].to_pylist(), table["time"].to_pylist())
        moved = [one - other for one, other in zip(*times, strict=True)]
        assert set(moved) == {timedelta(days=1)}


def test_each_photograph_is_one_sighting_that_a_shard_can_read(gallery: faces.Gallery) -> None:
    tables = faces.sightings(gallery, "a-model", NOW)
    ids = [one for table in tables.values() for one in table["sighting_id"].to_pylist()]
    assert sorted(ids) == [f"olivetti-{row:03}" for row in range(200)]
    for camera, table in tables.items():
        assert table.schema == SIGHTINGS
        times = table["time"].to_pylist()
        assert times == sorted(times)
        assert NOW - timedelta(hours=6) < times[0] <= times[-1] < NOW
        rows = read_rows(Observed(1, camera, subjects.SIGHTINGS, 0, {}, to_stream(table.to_batches()[0])))
        assert len(rows) == table.num_rows
    whole = pa.concat_tables(tables.values()).sort_by("sighting_id")
    assert np.array_equal(np.array(whole["embedding"].to_pylist(), np.float32), gallery.vectors)


def test_what_is_held_out_is_the_end_of_each_walk(gallery: faces.Gallery) -> None:
    whole, less = (
        {one for table in faces.sightings(gallery, "m", NOW, held).values() for one in table["sighting_id"].to_pylist()}
        for held in (0, 2)
    )
    assert whole - less == {f"olivetti-{row:03}" for row in range(200) if row % 10 >= 8}
    assert less < whole


def test_the_cameras_say_that_they_are_synthetic_and_stand_on_roads_of_the_city() -> None:
    commands = faces.commands(NOW, "test")
    assert len(commands) == len(faces.CAMERAS)
    assert [one.path for one in calls(commands)] == [f"/v1/cameras/{camera}" for camera in faces.CAMERAS]
    segments = [segment for road in load_pack("chuncheon").roads for segment in road.facts.segments]
    roads = {tuple(point) for segment in segments for point in segment.line}
    for one in commands:
        assert isinstance(one, RegisterCamera)
        assert one.facts.synthetic
        assert one.facts.position.synthetic
        assert (one.facts.position.lon, one.facts.position.lat) in roads


@pytest.mark.parametrize("shape", [(3,), (4, 2)])
def test_a_folder_that_is_no_gallery_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidError, match="no embeddings"):
        faces.read(tmp_path)
    np.save(tmp_path / "embeddings.npy", np.zeros(shape, np.float32))
    np.save(tmp_path / "labels.npy", np.zeros(3, np.int64))
    with pytest.raises(InvalidError, match="do not go with"):
        faces.read(tmp_path)


@needs_faces
def test_the_gallery_beside_the_project_is_of_twenty_persons_with_ten_photographs_each() -> None:
    gallery = faces.read(FACES)
    assert gallery.vectors.shape == (200, 128)
    persons, counts = np.unique(gallery.persons, return_counts=True)
    assert (len(persons), set(counts.tolist())) == (20, {10})
