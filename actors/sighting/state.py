"""The state of one sighting shard: cameras with their blocks and erasures. Times are µs UTC."""

from dataclasses import dataclass, field
from hashlib import blake2b

import orjson
import pyarrow as pa

from actors.digest import AdditiveDigest, Key
from actors.sighting.keys import U8, Seen
from schemas.sighting import CameraFacts, ErasureRequested

DAY = 86_400_000_000


@dataclass(slots=True)
class Block:
    """A block as it is now: `rows` are left of it. `keys` are those of all ids that ever were in it."""

    model: str
    dimensions: int
    rows: int
    first: int
    last: int
    keys: U8


@dataclass(slots=True)
class Erasure:
    """What was asked, and how much of it is gone; the receipts are the events. `told`: blocks of receipts so far."""

    asked: ErasureRequested
    rows: int = 0
    blocks: int = 0
    segments: int = 0
    erased_at: int | None = None
    told: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Camera:
    """A camera. `blocks` are the objects that exist, by digest; `rests` the keys of those of which nothing is left.

    `oldest`: the earliest `last` among the blocks; `sightings`: their rows. `models`: dimensions by model it spoke.
    """

    facts: CameraFacts
    registered: int
    heard: int
    silent_since: int | None = None
    models: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    rests: dict[str, Block] = field(default_factory=dict)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    oldest: int | None = None
    sightings: int = 0

    @property
    def retention(self) -> int:
        """How long a sighting of this camera may be kept, in µs."""
        return self.facts.retention_days * DAY

    @property
    def silent_after(self) -> int:
        """How long without a word until it counts as silent, in µs."""
        return self.facts.silent_after_s * 1_000_000

    def take_stock(self) -> None:
        """Count the blocks again after some of them are gone."""
        self.oldest = min((block.last for block in self.blocks.values()), default=None)
        self.sightings = sum(block.rows for block in self.blocks.values())


@dataclass(slots=True)
class State:
    """A shard: its cameras by id."""

    cameras: dict[str, Camera] = field(default_factory=dict)
    digest: AdditiveDigest = field(default_factory=AdditiveDigest)
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def touch(self, kind: str, camera: str, entity: str) -> None:
        """Note that an entity (`camera`, `block`, `rest`, `erasure`) is new or has changed."""
        self.digest.touch((kind, camera, entity))
        self.tables.pop("erasures" if kind == "erasure" else "cameras", None)

    def drop(self, kind: str, camera: str, entity: str) -> None:
        """Note that an entity is gone."""
        self.digest.drop((kind, camera, entity))
        self.tables.pop("cameras", None)

    def canonical(self, key: Key) -> bytes:
        """Everything that an entity's digest covers, as canonical JSON."""
        kind, camera_id, entity = key
        camera = self.cameras[camera_id]
        match kind:
            case "camera":
                fields: list[object] = [camera.facts.model_dump_json(), camera.registered, camera.heard]
                fields += [camera.silent_since, sorted(camera.models.items())]
            case "erasure":
                erasure = camera.erasures[entity]
                fields = [erasure.asked.model_dump_json(), erasure.rows, erasure.blocks, erasure.segments]
                fields += [erasure.erased_at, sorted(erasure.told)]
            case _:
                block = (camera.blocks if kind == "block" else camera.rests)[entity]
                keys = blake2b(block.keys.astype("<u8").tobytes(), digest_size=16).hexdigest()
                fields = [block.model, block.dimensions, block.rows, block.first, block.last, keys]
        return orjson.dumps([*key, fields])
