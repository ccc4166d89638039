"""Model cards: what a network that turns pictures into embeddings is, and how far it may be trusted."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Frozen, Name, Text
from schemas.sighting import ModelName

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Calibration(Frozen):
    """What a cosine of two embeddings of one model means: P(same person) = 1 / (1 + exp(-(a · cosine + b))).

    `b` holds the prior: another prior p moves it by logit(p) - logit(prior). The threshold was chosen on some persons,
    and `false_positive_rate` is what it let through among others.
    """

    a: float = Field(description="Slope per unit of cosine.")
    b: float = Field(description="Intercept, the prior included.")
    prior: Share = Field(description="P(same person) before looking, that `b` assumes.")
    threshold: float = Field(ge=-1, le=1, description="Cosine below which a candidate counts as nobody.")
    false_positive_rate: Share = Field(
        description="Share of the pairs of two persons, none of them fitted on, at or above it."
    )
    same_pairs: Count = Field(description="Pairs of one person that were fitted on.")
    different_pairs: Count = Field(description="Pairs of two persons that were fitted on.")
    persons: Count
    data: Text = Field(description="What it was fitted on.")


class Accuracy(Frozen):
    """One measured figure."""

    name: Name = Field(examples=["rank-1"])
    value: float = Field(allow_inf_nan=False)
    n: Count = Field(description="Queries or pairs that it was measured on; 0: published elsewhere without it.")
    how: Text
    measured_here: bool = Field(description="False: its authors say so, and it was not repeated here.")


class ModelCard(Frozen):
    """One network or descriptor in use. `weak`: works without a model file, and should be replaced by a better one."""

    id: ModelName = Field(description="Vectors of different ids never meet; part of it is the digest of the weights.")
    kind: Literal["detector", "body", "face"]
    name: Name
    dimensions: int | None = Field(description="Length of an embedding; null where it makes none.")
    version: Name
    digest: str = Field(description="SHA-256 of the weights file; empty where there is none.")
    licence: Text
    source: Text
    accuracy: tuple[Accuracy, ...]
    weak: bool
    bias_en: Text
    bias_ko: Text
    calibration: Calibration | None = Field(description="Null: its cosines must not be read as probabilities.")
