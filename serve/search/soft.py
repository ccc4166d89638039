"""Attributes as evidence: what agrees adds to a score, what differs takes from it, what is unknown does neither.

A wrong attribute as a hard filter hides the person. As evidence it costs a known amount, and the search stays exact: a
row beyond the candidates could gain `most` at best, so candidates are widened until none beyond them can reach.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.models import Calibration
from serve.search.segment_rows import ATTRIBUTES, Vocabularies

SIMILARITY_PER_NAT = 0.02
"""How much similarity weighs as much as one nat of evidence. Assumed: a logistic calibration with slope 50."""


class Evidence(NamedTuple):
    """How well an attribute is seen: a share `right` of a person's sightings agrees, of others' 1 in `values`."""

    right: float
    values: int

    @property
    def agrees(self) -> float:
        """Log-likelihood ratio, in nats, of an agreeing value: same person against another."""
        return log(self.right * self.values)

    @property
    def differs(self) -> float:
        """The same for a value that differs."""
        return log((1 - self.right) / (1 - 1 / self.values))


ASSUMED = {
    "upper": Evidence(0.7, 10),
    "lower": Evidence(0.7, 8),
    "age": Evidence(0.8, 4),
    "sex": Evidence(0.85, 2),
    "bag": Evidence(0.7, 2),
    "hat": Evidence(0.75, 2),
}
"""Assumed, not measured: colours change with light, bags are hidden by the body."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of the person. `weights` are nats by attribute, from labelled sightings where there are some."""

    upper: str | None = None
    lower: str | None = None
    age: str | None = None
    sex: str | None = None
    bag: str | None = None
    hat: str | None = None
    weights: Mapping[str, Evidence] = field(default_factory=lambda: ASSUMED)
    per_nat: float = SIMILARITY_PER_NAT

    @property
    def said(self) -> dict[str, str]:
        """The attributes that are described."""
        return {name: text for name in ATTRIBUTES if (text := getattr(self, name)) is not None}

    def steps(self) -> Iterator[tuple[str, str, float, float]]:
        """Of each described attribute: its name and value, and what agreeing and differing add to a score."""
        for name, text in self.said.items():
            weight = self.weights[name]
            yield name, text, weight.agrees * self.per_nat, weight.differs * self.per_nat

    @property
    def most(self) -> float:
        """The most that attributes can add to a score."""
        return sum(max(agrees, differs, 0.0) for _, _, agrees, differs in self.steps())

    def added(self, attributes: pa.ChunkedArray) -> npt.NDArray[np.float64]:
        """What each row of a column of attributes (as in `SIGHTINGS`) adds to its score; unknown adds nothing."""
        total = np.zeros(len(attributes))
        for name, text, agrees, differs in self.steps():
            same = pc.equal(pc.struct_field(attributes, name), text)
            total += pc.fill_null(pc.if_else(same, agrees, differs), 0.0).to_numpy()
        return total


def described(soft: Mapping[str, str], per_nat: float) -> Description | None:
    """A description of what is said; None where nothing is."""
    said: dict[str, Any] = {name: soft[name] for name in ATTRIBUTES if name in soft}
    return Description(**said, per_nat=per_nat) if said else None


def per_nat_of(calibration: Calibration | None) -> float:
    """How much of a model's similarity weighs as much as one nat: the inverse of its curve's slope."""
    return SIMILARITY_PER_NAT if calibration is None else 1 / calibration.a


@dataclass(frozen=True, slots=True)
class Bonus:
    """A description in the numbers of one index: for each described attribute, what each of its values adds."""

    tables: tuple[tuple[int, npt.NDArray[np.float64]], ...]
    most: float

    def __call__(self, attributes: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
        """What rows of attributes `[n, 6]` add to their scores."""
        total = np.zeros(len(attributes))
        for at, table in self.tables:
            total += table[attributes[:, at]]
        return total


NO_BONUS = Bonus((), 0.0)


def bind(description: Description | None, texts: Vocabularies) -> Bonus:
    """Look the texts up. A value that no sighting has agrees with none."""
    if description is None:
        return NO_BONUS
    tables = []
    for name, text, agrees, differs in description.steps():
        at = ATTRIBUTES.index(name)
        table = np.where(texts.attributes[at].chosen([text]), agrees, differs)
        table[-1] = 0.0  # unknown
        tables.append((at, table))
    return Bonus(tuple(tables), description.most)
