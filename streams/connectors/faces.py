"""Labelled face embeddings (20 persons x 10 photographs) as sightings of cameras on the streets of Chuncheon.

The embeddings are of real photographs; **everything else is synthetic**: cameras, positions, who was where and when.
Each person walks from camera to camera past one photograph after another, always the same way for the same file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.base import Command
from schemas.errors import InvalidError
from schemas.facility import Position
from schemas.sighting import SIGHTINGS, CameraFacts, RegisterCamera

ATTRIBUTION = "photographs: Olivetti Research Laboratory; cameras, places and times are synthetic"
"""To be shown wherever these sightings are."""
SEED = 20
"""Of the walks."""

CAMERAS: dict[str, tuple[str, str, float, float]] = {
    "faces-jungang": ("중앙로 (가상)", "Jungang-ro (synthetic)", 127.72415, 37.87855),
    "faces-sicheong": ("시청길 (가상)", "Sicheong-gil (synthetic)", 127.73100, 37.88050),
    "faces-seobu": ("서부대성로 (가상)", "Seobudaeseong-ro (synthetic)", 127.72855, 37.88185),
    "faces-geumgang": ("금강로 (가상)", "Geumgang-ro (synthetic)", 127.73090, 37.88367),
    "faces-chuncheon": ("춘천로 (가상)", "Chuncheon-ro (synthetic)", 127.72800, 37.88907),
    "faces-docheong": ("도청길 (가상)", "Docheong-gil (synthetic)", 127.73035, 37.88645),
    "faces-sakju": ("삭주로 (가상)", "Sakju-ro (synthetic)", 127.73400, 37.87985),
    "faces-myeongdong": ("명동길 (가상)", "Myeongdong-gil (synthetic)", 127.73070, 37.87770),
    "faces-hyoja": ("효자로 (가상)", "Hyoja-ro (synthetic)", 127.72840, 37.87300),
    "faces-namchun": ("남춘로 (가상)", "Namchun-ro (synthetic)", 127.73750, 37.87390),
    "faces-hallim": ("한림대학길 (가상)", "Hallimdaehak-gil (synthetic)", 127.73820, 37.88335),
    "faces-gongji": ("공지로 (가상)", "Gongji-ro (synthetic)", 127.73060, 37.86820),
}
"""Names, longitude and latitude by id: made up, on lines of the city pack's roads."""

_METRES = (111_320.0 * np.cos(np.radians(37.88)), 111_320.0)
"""Of a degree of longitude and of latitude at Chuncheon, on a sphere."""
_NEAR = 4
"""A person walks on to one of so many nearest cameras."""
_DETOUR = 1.3
"""Ways are longer than the straight line: assumed."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """`vectors` float32 [n, d] as they came, `persons` the number of the person on each row's photograph."""

    vectors: npt.NDArray[np.float32]
    persons: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seen:
    """A photograph (its row) at a camera, `before` the end; `place`: how many of the person came before it."""

    row: int
    person: int
    place: int
    camera: str
    before: timedelta


def read(folder: Path) -> Gallery:
    """`embeddings.npy` and `labels.npy` of a folder. Raises `InvalidError` where they are not that."""
    try:
        vectors, labels = (np.load(folder / name, allow_pickle=False) for name in ("embeddings.npy", "labels.npy"))
    except (OSError, ValueError) as error:
        raise InvalidError(f"{folder} holds no embeddings.npy and labels.npy: {error}") from error
    if vectors.ndim != 2 or labels.shape != vectors.shape[:1] or not len(labels) or vectors.dtype.kind != "f":
        raise InvalidError(f"{folder}: {vectors.shape} embeddings do not go with {labels.shape} labels")
    return Gallery(vectors.astype(np.float32), labels.astype(np.int64))


def commands(at: datetime, by: str) -> list[Command]:
    """What makes a city know the cameras; the same again changes nothing."""
    return [
        RegisterCamera(
            at=at,
            by=by,
            camera=camera,
            facts=CameraFacts(
                name_ko=name_ko,
                name_en=name_en,
                position=Position(lon=lon, lat=lat, synthetic=True),
                silent_after_s=86_400,
                synthetic=True,
            ),
        )
        for camera, (name_ko, name_en, lon, lat) in CAMERAS.items()
    ]


def walks(persons: Sequence[int]) -> list[Seen]:
    """Every photograph at its camera, in order of its row; pure, the same for the same labels."""
    return sorted(
        (seen for person in sorted(set(persons)) for seen in _walk(person, np.flatnonzero(np.equal(persons, person)))),
        key=lambda one: one.row,
    )


def _walk(person: int, rows: npt.NDArray[np.int64]) -> Iterator[Seen]:
    luck, names = np.random.default_rng([SEED, person]), list(CAMERAS)
    places = np.array([place[2:] for place in CAMERAS.values()]) * _METRES
    at, last = int(luck.integers(len(names))), -1
    passed, elapsed = list[tuple[int, float]](), 0.0
    for _ in rows:
        passed.append((at, elapsed))
        metres = np.linalg.norm(places - places[at], axis=1)
        near = [one for one in np.argsort(metres, kind="stable")[1 : _NEAR + 1].tolist() if one != last]
        last, at = at, int(luck.choice(near))
        elapsed += metres[at] * _DETOUR / luck.uniform(1.0, 1.4) + luck.uniform(30.0, 300.0)
    ended = luck.uniform(60.0, 1_800.0)
    for place, (row, (camera, when)) in enumerate(zip(rows.tolist(), passed, strict=True)):
        before = timedelta(seconds=round(ended + passed[-1][1] - when, 3))
        yield Seen(row, person, place, names[camera], before)


def sightings(gallery: Gallery, model: str, until: datetime, hold_out: int = 0) -> dict[str, pa.Table]:
    """Tables of `schemas.sighting.SIGHTINGS` by camera, in order of time, the newest some minutes before `until`.

    Without the `hold_out` last photographs of each person. A sighting's id is its row in the file, so that a second
    replay counts nothing twice, whatever its times.
    """
    counts = {person: int((gallery.persons == person).sum()) for person in set(gallery.persons.tolist())}
    sent = [one for one in walks(gallery.persons.tolist()) if one.place < counts[one.person] - hold_out]
    tables = {}
    for camera in CAMERAS:
        mine = sorted((one for one in sent if one.camera == camera), key=lambda one: -one.before)
        if mine:
            tables[camera] = pa.table(
                {
                    "sighting_id": [f"olivetti-{one.row:03}" for one in mine],
                    "camera": [camera] * len(mine),
                    "time": [until - one.before for one in mine],
                    "model": [model] * len(mine),
                    "embedding": list(gallery.vectors[[one.row for one in mine]]),
                    "quality": [1.0] * len(mine),
                    "box": [None] * len(mine),
                    "attributes": [None] * len(mine),
                    "picture": [None] * len(mine),
                },
                schema=SIGHTINGS,
            )
    return tables
