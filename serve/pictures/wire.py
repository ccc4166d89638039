"""The people of one picture on their way from the encoder to whoever follows them: an Arrow IPC stream.

A row is one look; rows of one `person` are the same person in that picture, the first of them tells box, `look` (by
which people are told apart from one picture to the next) and quality of the detection.
"""

import numpy as np
import pyarrow as pa

from schemas.errors import UnavailableError
from schemas.sighting import SIGHTINGS
from serve.pictures.follow import Look, Looks
from serve.pictures.track import Detection
from streams.connectors.feeder import to_stream

_LOOK = ("model", "embedding", "quality", "box", "attributes", "picture")
PEOPLE = pa.schema(
    [
        pa.field("person", pa.int32()),
        pa.field("look", pa.list_(pa.float32())),
        *(SIGHTINGS.field(name) for name in _LOOK),
    ]
)


def to_bytes(people: list[Detection[Looks]]) -> bytes:
    """As sent; of an empty picture a stream without rows."""
    rows = [
        {"person": number, "look": one.look, **{name: getattr(look, name) for name in _LOOK}, "box": list(look.box)}
        for number, one in enumerate(people)
        for look in one.kept
    ]
    return to_stream(pa.RecordBatch.from_pylist(rows, PEOPLE))


def from_bytes(data: bytes) -> list[Detection[Looks]]:
    """Inverse of `to_bytes`. Raises `UnavailableError` for what is none such."""
    try:
        rows = pa.ipc.open_stream(data).read_all().cast(PEOPLE).to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise UnavailableError("the encoder answers in a way that is not understood here") from error
    people: dict[int, list[Look]] = {}
    looks: dict[int, list[float]] = {}
    for row in rows:
        embedding = np.asarray(row["embedding"], np.float32)
        look = Look(row["model"], embedding, row["quality"], tuple(row["box"]), row["attributes"], row["picture"])
        people.setdefault(row["person"], []).append(look)
        looks.setdefault(row["person"], row["look"])
    return [
        Detection(kept[0].box, np.asarray(looks[number], np.float32), kept[0].quality, tuple(kept))
        for number, kept in people.items()
    ]
