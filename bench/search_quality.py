"""How well people are found again: rank-1 and rank-5, mAP, and how often `nobody` is the answer where it should be.

Two data sets: labelled face embeddings (20 persons x 10), and people of a street video with a *simulated* change of
camera, embedded by a network and by the colour histogram. Each is split by persons again and again: the threshold is
calibrated on some, and tried on others, half of whom are not in the gallery at all.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.people import Person, people
from bench.report import Report, arguments, run
from serve.pictures import fitted
from serve.pictures.detect import NetworkDetector
from serve.pictures.embed import ColourEmbedder, Embedder, NetworkEmbedder, unit
from serve.search.calibration import FALSE_POSITIVE_RATE, fit

Reals = NDArray[np.float32]
Numbers = NDArray[np.int64]

DETECTOR, ENCODER = "person-detection-retail-0013.xml", "person-reidentification-retail-0288.xml"
GALLERY_ROWS = 5
"""Pictures of a known person in the gallery; the rest are queries."""


@dataclass(slots=True)
class Tally:
    """What all splits together showed; counts of queries or pairs, so that every share has its n."""

    known: int = 0
    first: int = 0
    among_five: int = 0
    precision: float = 0.0
    found: int = 0
    unknown: int = 0
    named: int = 0
    same: int = 0
    same_over: int = 0
    different: int = 0
    different_over: int = 0

    def query(self, ranks: NDArray[np.bool_], top: float, threshold: float) -> None:
        """A person who is in the gallery: which rows, best first, are theirs."""
        hits = np.flatnonzero(ranks)
        self.known += 1
        self.first += bool(ranks[0])
        self.among_five += bool(ranks[:5].any())
        self.precision += float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
        self.found += bool(ranks[0] and top >= threshold)

    def nobody(self, top: float, threshold: float) -> None:
        """A person who is not in the gallery."""
        self.unknown += 1
        self.named += top >= threshold

    def pairs(self, cosines: Reals, same: NDArray[np.bool_], sure: NDArray[np.bool_], threshold: float) -> None:
        """Pairs at the threshold; of two persons only those that are so for certain."""
        over = cosines >= threshold
        self.same += int(same.sum())
        self.same_over += int((over & same).sum())
        self.different += int((sure & ~same).sum())
        self.different_over += int((over & sure & ~same).sum())

    def tell(self, report: Report, name: str) -> None:
        """Every share with its n."""
        for figure, part, whole in (
            ("rank1", self.first, self.known),
            ("rank5", self.among_five, self.known),
            ("map", self.precision, self.known),
            ("named_rightly", self.found, self.known),
            ("nobody_named", self.named, self.unknown),
            ("true_positive_rate", self.same_over, self.same),
            ("false_positive_rate", self.different_over, self.different),
        ):
            report.add(f"{name}_{figure}", part / whole, f"share of n = {whole:,}")


def split(
    tally: Tally,
    gallery: Reals,
    queries: Reals,
    owners: tuple[Numbers, Numbers],
    sure: NDArray[np.bool_],
    seed: int,
) -> None:
    """Calibrate on half of the persons; try on the other half, of which half are in the gallery.

    `gallery` and `queries` are unit vectors, `owners` the person of each row of both, `sure` queries x gallery: a pair
    that is either of one person or of two for certain.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(np.unique(owners[0]))
    half, quarter = len(order) // 2, (len(order) - len(order) // 2) // 2
    learnt, known = order[:half], order[half : half + quarter]
    cosines, same = queries @ gallery.T, owners[1][:, None] == owners[0][None, :]
    fitting = np.isin(owners[1], learnt)[:, None] & np.isin(owners[0], learnt)[None, :] & (sure | same)
    threshold = fit(cosines[fitting], same[fitting]).threshold
    kept, tried = np.isin(owners[0], known), ~np.isin(owners[1], learnt)
    for query in np.flatnonzero(tried):
        row = cosines[query, kept]
        if owners[1][query] in known:
            ranks = same[query, kept][np.argsort(-row, kind="stable")]
            tally.query(ranks, float(row.max()), threshold)
        else:
            tally.nobody(float(row.max()), threshold)
    others = tried[:, None] & ~np.isin(owners[0], learnt)[None, :]
    tally.pairs(cosines[others], same[others], sure[others], threshold)


def faces(report: Report, data: Path, splits: int) -> None:
    """The labelled gallery of face embeddings."""
    vectors, labels = unit(np.load(data / "faces/embeddings.npy")), np.load(data / "faces/labels.npy").astype(np.int64)
    place = np.concatenate([np.arange(count) for count in np.unique(labels, return_counts=True)[1]])
    kept = place < GALLERY_ROWS
    tally = Tally()
    for seed in range(splits):
        sure = np.ones((int((~kept).sum()), int(kept.sum())), bool)
        split(tally, vectors[kept], vectors[~kept], (labels[kept], labels[~kept]), sure, seed)
    tally.tell(report, "faces")
    upper = np.triu_indices(len(labels), 1)
    tell_fit(report, "faces", fitted.GALLERY_FACES.threshold, (vectors @ vectors.T)[upper], labels, upper)


def tell_fit(
    report: Report, name: str, card: float, cosines: Reals, owners: Numbers, pairs: tuple[Numbers, ...]
) -> None:
    """The curve fitted to everything there is, as the model card should hold it."""
    same = owners[pairs[0]] == owners[pairs[1]]
    curve = fit(cosines, same)
    for part, value in (("a", curve.a), ("b", curve.b), ("threshold", curve.threshold)):
        report.add(f"{name}_fit_{part}", value, f"{int(same.sum()):,} same, {int((~same).sum()):,} different pairs")
    if abs(curve.threshold - card) > 0.01:
        report.notes.append(f"{name}: the model card says {card:.3f}: put the fit into serve/pictures/fitted.py")


def bodies(report: Report, seen: Sequence[Person], encoder: Embedder, name: str, card: float, splits: int) -> None:
    """People of the video; the gallery holds their best crops, the queries come from the other camera."""
    gallery, queries = encoder.embed([one.best for one in seen]), encoder.embed([one.other for one in seen])
    owners = np.arange(len(seen))
    beside = np.array([[one.beside(other) for other in seen] for one in seen])
    cosines = queries @ gallery.T
    for moment, found in (("same", encoder.embed([one.same for one in seen]) @ gallery.T), ("other", cosines)):
        ranks = np.argmax(np.argsort(-found, axis=1, kind="stable") == owners[:, None], axis=1)
        for figure, value in (("rank1", ranks < 1), ("rank5", ranks < 5), ("map", 1 / (ranks + 1))):
            unit_of = f"share of n = {len(seen)}, {moment} moment, all in the gallery"
            report.add(f"{name}_{moment}_{figure}", float(value.mean()), unit_of)
    tally = Tally()
    for seed in range(splits):
        split(tally, gallery, queries, (owners, owners), beside, seed)
    tally.tell(report, name)
    pairs = np.nonzero(beside)
    tell_fit(report, name, card, cosines[pairs], owners, pairs)


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Of one call, the best of some."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took) * 1e3


async def measure(data: Path, models: Path, quick: bool) -> Report:
    """All of it."""
    cv2.setNumThreads(1)
    splits = 5 if quick else 100
    report = Report("search_quality", goals={"body_over_colours": "the network must earn its place"})
    faces(report, data, splits)
    detector, network, colours = (
        NetworkDetector(models / DETECTOR),
        NetworkEmbedder(models / ENCODER),
        ColourEmbedder(),
    )
    seen = people(data / "video/vtest.avi", detector, until_us=20_000_000 if quick else None)
    bodies(report, seen, network, "body", fitted.BODY_0288.threshold, splits)
    bodies(report, seen, colours, "colours", fitted.COLOURS.threshold, splits)
    report.ratio(
        "body_over_colours", report.figures["body_other_rank1"].value / report.figures["colours_other_rank1"].value
    )
    crops = [one.best for one in seen[:16]]
    frame = np.asarray(cv2.resize(seen[0].best, (480, 360)), np.uint8)
    rounds = 3 if quick else 20
    report.add("detect_ms", milliseconds(lambda: detector.detect(frame), rounds), "ms a frame of 480 x 360, one thread")
    report.add("body_embed_ms", milliseconds(lambda: network.embed(crops), rounds) / len(crops), "ms a person")
    report.add("colours_embed_ms", milliseconds(lambda: colours.embed(crops), rounds) / len(crops), "ms a person")
    report.notes += [
        f"faces: 20 persons x 10; body and colours: {len(seen)} tracklets of a video with a SIMULATED change of camera",
        f"{splits} splits by person; their queries overlap, so n counts queries and not independent ones",
        f"thresholds let {FALSE_POSITIVE_RATE:.1%} of the calibration's pairs of two persons through; a person",
        "who left the video and came back counts as two, so at another moment the truth is better than these figures",
    ]
    return report


def _given() -> argparse.Namespace:
    parser = arguments("search_quality", __doc__ or "")
    shared = Path(__file__).parents[2] / "shared"
    for name in ("data", "models"):
        default = Path(os.environ.get(f"BOMNAE_BENCH_{name.upper()}", shared / name))
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"default: {default}")
    given = parser.parse_args()
    wanted = ("faces/embeddings.npy", "faces/labels.npy", "video/vtest.avi")
    for path in (*(given.data / name for name in wanted), given.models / DETECTOR, given.models / ENCODER):
        if not path.exists():
            parser.error(f"{path} is not there: name the folders with --data and --models")
    return given


if __name__ == "__main__":
    options = _given()
    run(lambda: measure(options.data, options.models, options.quick), options.json)
