"""People followed through a camera's pictures are sightings, one each, told in bounded time."""

import pytest

from schemas.sighting import SIGHTINGS
from serve.pictures.encoder import Encoder
from serve.pictures.follow import Follower, Looks, for_snapshots
from serve.pictures.sandbox import Pixels
from serve.pictures.track import Tracker
from tests.unit.pictures.fakes import BLUE, RED, MeanColour, Rectangles, street

T0, SECOND = 1_700_000_000_000_000, 1_000_000


class Camera:
    """Snapshots `every_s` seconds apart; what was told when, in seconds after the first."""

    def __init__(self, every_s: float = 1.0) -> None:
        self.encoder, self.every_s, self.at = Encoder(Rectangles(), MeanColour(), None), every_s, 0.0
        self.follower: Follower[Looks] = Follower("cam-1", list, for_snapshots(every_s))
        self.told: list[tuple[float, dict[str, object]]] = []

    def sees(self, *pictures: Pixels) -> "Camera":
        for pixels in pictures:
            (people,) = self.encoder.people([pixels])
            self.told += self._rows(self.follower.add(T0 + int(self.at * SECOND), people))
            self.at += self.every_s
        return self

    def waits(self, seconds: float) -> "Camera":
        for _ in range(round(seconds)):
            self.at += 1
            self.told += self._rows(self.follower.until(T0 + int(self.at * SECOND)))
        return self

    def ends(self) -> "Camera":
        self.told += self._rows(self.follower.finish())
        return self

    def _rows(self, table) -> list[tuple[float, dict[str, object]]]:
        assert table.schema == SIGHTINGS
        return [(self.at, row) for row in table.to_pylist()]


def test_one_who_waits_for_a_minute_before_snapshots_is_six_sightings_and_not_sixty() -> None:
    camera = Camera().sees(*[street((50, RED))] * 60).ends()
    assert len(camera.told) == 6
    assert len({row["sighting_id"] for _, row in camera.told}) == 6


def test_one_who_walks_by_is_one_sighting() -> None:
    # 80 pixels tall: 1.4 m/s are 66 pixels a second.
    assert len(Camera().sees(*[street((66 * n, RED)) for n in range(4)], street()).ends().told) == 1


def test_one_who_is_missed_once_is_still_the_same() -> None:
    assert len(Camera().sees(street((50, RED)), street(), street((50, RED))).ends().told) == 1


def test_another_who_stands_where_one_stood_is_another_sighting() -> None:
    told = Camera().sees(street((50, RED)), street((50, BLUE))).ends().told
    colours = [row["attributes"]["upper"] for _, row in told]
    assert sorted(colours) == ["blue", "red"]


@pytest.mark.parametrize("every_s", [1.0, 5.0, 60.0])
def test_whoever_stays_can_be_searched_within_seconds_though_the_camera_falls_silent(every_s: float) -> None:
    camera = Camera(every_s).sees(street((50, RED))).waits(12)
    assert [row["time"].timestamp() for _, row in camera.told] == [T0 / SECOND]
    assert camera.told[0][0] <= every_s + 10


def test_snapshots_at_the_same_times_give_the_same_ids() -> None:
    ids = [[row["sighting_id"] for _, row in Camera().sees(*[street((50, RED))] * 12).ends().told] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_frames_of_a_film_give_the_same_sightings_whether_all_crops_are_embedded_or_the_best_alone() -> None:
    encoder = Encoder(Rectangles(), MeanColour(), None)
    frames = [street((10 + 3 * n, RED), (250 - 3 * n, BLUE)) for n in range(20)]
    times = [T0 + n * SECOND // 10 for n in range(20)]
    follower: Follower[Looks] = Follower("cam-1", list, Tracker())
    for at, people in zip(times, encoder.people(frames), strict=True):
        assert follower.add(at, people).num_rows == 0
    there, here = follower.finish().to_pylist(), encoder.sightings(frames, "cam-1", times).to_pylist()
    assert there == here
    assert len(here) == 2
