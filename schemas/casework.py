"""What requests of officers carry: searches, decisions, watches, erasures. Bodies of the HTTP API."""

from typing import Annotated, Any

from pydantic import Base64Bytes, ConfigDict, Field, model_validator

from schemas.area import MAX_POINTS, Area, points
from schemas.base import EntityId, Frozen, Text
from schemas.person import CandidateId, Outcome, Probability
from schemas.road import Window
from schemas.sighting import ATTRIBUTES, MAX_DIMENSIONS, CameraFacts, ModelName, SightingId

MAX_PHOTOS = 5
MAX_ERASED = 1000
"""Sightings that one request names for erasure."""


class Authorisation(Frozen):
    """Authorise a case that another opened; `sole`: one's own, on the police's own authority."""

    sole: bool = False


class Sought(Frozen):
    """Who is looked for, and where: one of `photos`, `embedding` with `model`, and `like`."""

    photos: Annotated[
        tuple[Base64Bytes, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_PHOTOS,
            description="JPEG, PNG or WebP, base64; each at most 16 MB before.",
        ),
    ] = None
    embedding: Annotated[
        tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None, Field(min_length=2, max_length=MAX_DIMENSIONS)
    ] = None
    model: ModelName | None = None
    like: CandidateId | None = Field(None, description="A candidate of this case: more like this.")
    attributes: Annotated[
        dict[str, str],
        Field(description=f"Evidence that adds to the score: {', '.join(ATTRIBUTES)}.", examples=[{"upper": "red"}]),
    ] = Field(default_factory=dict)
    areas: Annotated[tuple[Area, ...], Field(max_length=50, description="Cameras in any of them.")] = ()
    cameras: Annotated[tuple[EntityId, ...], Field(max_length=2000, description="Of these cameras alone.")] = ()

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Sought":
        if sum(one is not None for one in (self.photos, self.embedding, self.like)) != 1:
            raise ValueError("give exactly one of photos, embedding and like")
        if (self.embedding is None) != (self.model is None):
            raise ValueError("an embedding comes with its model, nothing else does")
        if sum(map(points, self.areas)) > MAX_POINTS:
            raise ValueError(f"the areas have more than {MAX_POINTS:,} points together: simplify them")
        if self.embedding is not None and not any(self.embedding):
            raise ValueError("an embedding is not all zero")
        for name, value in self.attributes.items():
            if value not in ATTRIBUTES.get(name, ()):
                raise ValueError(f"there is no attribute {name!r} with the value {value!r}")
        return self


class SearchRequest(Sought):
    """A search in a case."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "embedding": [0.12, -0.5, 0.31],
                "model": "body-example",
                "attributes": {"upper": "red", "age": "child"},
                "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-15T03:00:00Z"},
                "areas": [{"lon": 127.73, "lat": 37.88, "radius_m": 1500}],
                "limit": 20,
            }
        }
    )

    hard: Annotated[
        tuple[str, ...],
        Field(max_length=len(ATTRIBUTES), description="Attributes that a sighting must have; unknown is excluded."),
    ] = ()
    window: Window | None = Field(None, description="The last 24 hours where it is left out.")
    min_quality: Probability = 0.0
    limit: Annotated[int, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _hard_ones_are_given(self) -> "SearchRequest":
        if missing := set(self.hard) - set(self.attributes):
            raise ValueError(f"{min(missing)!r} is to be hard, but is not among the attributes")
        return self


class WatchRequest(Sought):
    """A standing query: every new sighting that is at least so probable is a hit. It ends with the case."""

    min_probability: Annotated[
        Probability | None,
        Field(
            description="Without it each model's own threshold counts (see `GET /v1/models`). Of a model without a "
            "calibration its score is compared with this number, or with 0.5."
        ),
    ] = None


class Decision(Frozen):
    """Why it is, or is not, the person."""

    reason: Text = Field(examples=["같은 가방과 걸음걸이 · the same bag and gait"])


class Closing(Frozen):
    """How a case ended. Its searches and watches end, and its data are erased."""

    outcome: Outcome
    reason: Text = Field(examples=["가족과 만남 · reunited with the family"])


class CameraRegistration(CameraFacts):
    """A camera (영상정보처리기기) with its place and retention."""


class ErasureRequest(Frozen):
    """Sightings to erase: those of a camera's window, those named of one camera, or those named of several."""

    camera: EntityId | None = Field(None, examples=["cam-17"])
    window: Window | None = None
    sightings: Annotated[tuple[SightingId, ...], Field(max_length=MAX_ERASED)] = ()
    by_camera: dict[EntityId, Annotated[tuple[SightingId, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Instead of `camera`: a person's sightings by camera, at most 1000 in all, under one erasure.",
        examples=[{"cam-17": ["20260115T030000.3"], "cam-18": ["20260115T031200.1"]}],
    )
    reason: Text = Field(examples=["정보주체의 요구 · the data subject asked"])
    case: EntityId | None = None

    @model_validator(mode="after")
    def _one_of_all(self) -> "ErasureRequest":
        ways = [self.window is not None, bool(self.sightings), bool(self.by_camera)]
        if sum(ways) != 1 or (self.camera is None) != bool(self.by_camera):
            raise ValueError("give a camera with either a window or sightings, or sightings by_camera")
        if sum(map(len, self.by_camera.values())) > MAX_ERASED:
            raise ValueError(f"at most {MAX_ERASED} sightings at once")
        return self

    @property
    def parts(self) -> list[dict[str, Any]]:
        """What is asked of each camera."""
        if self.camera is not None:
            return [{"camera": self.camera, "window": self.window, "sightings": self.sightings}]
        return [{"camera": camera, "sightings": named} for camera, named in self.by_camera.items()]
