"""The sighting context: cameras, and the people they saw.

A sighting's embedding, attributes and picture are erasable: they lie in *blocks*, objects of their own. The log holds a
block's camera, times, number of rows, digest and reference, and 64-bit keys of the ids, so that each counts once.
"""

from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import Base64Bytes, Field, model_validator

from schemas.base import Command, EntityId, Event, Frozen, Name, Text, UtcTime
from schemas.facility import Position
from schemas.road import Window

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "upper": ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    "lower": ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    "age": ("child", "teenager", "adult", "elderly"),
    "sex": ("female", "male"),
    "bag": ("none", "backpack", "handbag", "suitcase"),
    "hat": ("none", "hat"),
}
"""What a sighting may say of a person's looks, by attribute; null where unknown."""

ATTRIBUTES_KO: dict[str, str] = {
    "upper": "상의",
    "lower": "하의",
    "age": "연령대",
    "sex": "성별",
    "bag": "가방",
    "hat": "모자",
    "black": "검정",
    "white": "흰색",
    "grey": "회색",
    "red": "빨강",
    "orange": "주황",
    "yellow": "노랑",
    "green": "초록",
    "blue": "파랑",
    "purple": "보라",
    "pink": "분홍",
    "brown": "갈색",
    "child": "어린이",
    "teenager": "청소년",
    "adult": "성인",
    "elderly": "노인",
    "female": "여성",
    "male": "남성",
    "none": "없음",
    "backpack": "배낭",
    "handbag": "손가방",
    "suitcase": "여행가방",
}

SIGHTINGS = pa.schema(
    [
        pa.field("sighting_id", pa.string(), nullable=False),
        pa.field("camera", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),
        pa.field("quality", pa.float32(), nullable=False),
        pa.field("box", pa.list_(pa.int32(), 4)),
        pa.field("attributes", pa.struct([pa.field(name, pa.string()) for name in ATTRIBUTES])),
        pa.field("picture", pa.binary()),
    ]
)
"""A batch of sightings on the wire and in a block, as an Arrow IPC stream.

`(camera, sighting_id)` is the identity: it counts once however often it is delivered. Make the id begin with the
camera's where it shall be told from those of all other cameras. `quality` is 0 to 1, `box` x, y, width, height in
pixels, `picture` a small JPEG of the person alone, at most `MAX_PICTURE` bytes; the last three columns may be null or
missing. `embedding` need not have unit length (in a block it has); dictionary-encoded strings, float16, float64 and
fixed-size lists are accepted too. A message without rows is a sign of life of the camera on whose subject it comes.
JSON: see `Sighting`.
"""

MAX_SIGHTINGS = 20_000
"""Rows of one message; larger batches go to REJECTED whole."""

MAX_DIMENSIONS = 4096

MAX_PICTURE = 65_536
"""Bytes of one sighting's picture."""

MAX_RETENTION_DAYS = 30
"""Footage is destroyed after 30 days at most where no minimum can be set (Korean Personal Information Protection Act
guideline, as in the notes on the domain)."""

MAX_ERASED = 5000
"""Blocks, and segments, of one `CompleteErasure`: it must fit into a message of the log, twice."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SightingId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]


class Sighting(Frozen):
    """One sighting as JSON; a list of them is a batch."""

    sighting_id: SightingId
    camera: EntityId
    time: UtcTime
    model: ModelName
    embedding: Annotated[tuple[float, ...], Field(min_length=2, max_length=MAX_DIMENSIONS)]
    quality: Annotated[float, Field(ge=0, le=1)]
    box: tuple[int, int, int, int] | None = None
    attributes: dict[str, str | None] | None = None
    picture: Base64Bytes | None = Field(None, description="A small JPEG, base64.")


class CameraFacts(Frozen):
    """What a camera is. `group` puts cameras that are searched together into the same segments.

    `silent_after_s`: how long without a sighting or a sign of life until the camera counts as silent.
    """

    name_ko: Name
    name_en: Name
    position: Position
    area: Annotated[str, Field(max_length=20)] = ""
    group: EntityId = "city"
    gateway: EntityId | None = None
    retention_days: Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)] = MAX_RETENTION_DAYS
    silent_after_s: Annotated[int, Field(ge=10, le=86_400)] = 600
    synthetic: bool = False


class SightingCommand(Command):
    """A command to one camera."""

    context: ClassVar[str] = "sighting"
    entity_field: ClassVar[str] = "camera"
    camera: EntityId


class RegisterCamera(SightingCommand):
    """Make a camera known, or change its facts."""

    facts: CameraFacts


class RequestErasure(SightingCommand):
    """Ask for sightings of a camera to be erased: those of a window, or those named. Hidden from search at once."""

    erasure: EntityId
    window: Window | None = None
    sightings: Annotated[tuple[SightingId, ...], Field(max_length=1000)] = ()
    reason: Text
    case: EntityId | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "RequestErasure":
        if (self.window is None) == (not self.sightings):
            raise ValueError("give either a window or sightings")
        return self


class BlockErased(Frozen):
    """One block before and after an erasure; `after` is empty where nothing of it is left."""

    before: Sha256
    after: Sha256 | Literal[""]
    rows: Annotated[int, Field(ge=0)]
    left: Annotated[int, Field(ge=0)]


class SegmentErased(Frozen):
    """One sealed or open segment of a search shard before and after an erasure."""

    shard: Annotated[str, Field(max_length=80)]
    segment: Annotated[str, Field(max_length=80)]
    before: Sha256
    after: Sha256 | Literal[""]
    rows: Annotated[int, Field(ge=0)]


class CompleteErasure(SightingCommand):
    """Tell what is gone from blocks and segments; `last` when that is all of it, which one command may not hold."""

    erasure: EntityId
    blocks: Annotated[tuple[BlockErased, ...], Field(max_length=MAX_ERASED)]
    segments: Annotated[tuple[SegmentErased, ...], Field(max_length=MAX_ERASED)]
    last: bool = True


class GiveUpBlocks(SightingCommand):
    """Tell that an erasure has to look into blocks which nobody can read, and goes on without them."""

    erasure: EntityId
    blocks: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=MAX_ERASED)]


class SightingEvent(Event):
    """An event of one camera."""

    context: ClassVar[str] = "sighting"
    entity_field: ClassVar[str] = "camera"
    camera: EntityId


class CameraRegistered(SightingEvent):
    """A camera is known, or its facts changed."""

    type: ClassVar[str] = "city.sighting.camera-registered.v1"
    facts: CameraFacts


class SightingsObserved(SightingEvent):
    """A block of sightings of one camera, one model and one day (UTC) is kept, and can be searched.

    `block` is the SHA-256 of the object and its reference; `first` and `last` the times of its rows; `keys` the 64-bit
    keys of the ids, base64 of little-endian integers in row order.
    """

    type: ClassVar[str] = "city.sighting.sightings-observed.v1"
    block: Sha256
    model: ModelName
    dimensions: int
    rows: int
    first: UtcTime
    last: UtcTime
    keys: str


class ErasureRequested(SightingEvent):
    """Sightings of a camera shall be erased, and are hidden from search from now on."""

    type: ClassVar[str] = "city.sighting.erasure-requested.v1"
    erasure: EntityId
    window: Window | None
    sightings: tuple[SightingId, ...]
    reason: str
    by: str
    case: EntityId | None


class SightingsErased(SightingEvent):
    """The receipt: what is gone from blocks and segments, with the digests before and after; all of it at `last`."""

    type: ClassVar[str] = "city.sighting.sightings-erased.v1"
    erasure: EntityId
    rows: int
    blocks: tuple[BlockErased, ...]
    segments: tuple[SegmentErased, ...]
    last: bool


class BlocksLost(SightingEvent):
    """Part of a receipt: these blocks were missing or damaged for too long to wait for what is to be erased of them.

    They are given up whole: should one come back, it is deleted, whatever else was in it. `rows` are theirs.
    """

    type: ClassVar[str] = "city.sighting.blocks-lost.v1"
    erasure: EntityId
    blocks: tuple[Sha256, ...]
    rows: int


class BlocksExpired(SightingEvent):
    """The retention of these blocks has ended: they are deleted and every segment forgets them; `rows` are theirs."""

    type: ClassVar[str] = "city.sighting.blocks-expired.v1"
    blocks: tuple[Sha256, ...]
    rows: int


class CameraHeard(SightingEvent):
    """A sign of life without a new sighting; told at most three times in a camera's `silent_after_s`."""

    type: ClassVar[str] = "city.sighting.camera-heard.v1"


class CameraSilent(SightingEvent):
    """Nothing has come from the camera for its `silent_after_s`; `since` it was heard last, or registered."""

    type: ClassVar[str] = "city.sighting.camera-silent.v1"
    since: UtcTime


class CameraRestored(SightingEvent):
    """A silent camera is heard again, at `at`; `since` it had been silent."""

    type: ClassVar[str] = "city.sighting.camera-restored.v1"
    since: UtcTime


COMMANDS: tuple[type[SightingCommand], ...] = (RegisterCamera, RequestErasure, CompleteErasure, GiveUpBlocks)
EVENTS: tuple[type[SightingEvent], ...] = (
    CameraRegistered,
    SightingsObserved,
    ErasureRequested,
    SightingsErased,
    BlocksLost,
    BlocksExpired,
    CameraHeard,
    CameraSilent,
    CameraRestored,
)
