"""What a case searched or watches for, as the erasable object that its ledger names by digest."""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import orjson

from serve.search.protocol import Query


@dataclass(frozen=True, slots=True)
class Sought:
    """The person in the terms of models, as described, and as photographed (JPEGs without metadata, or none).

    `least`: of a watch, the score from which a sighting of each model is a hit. `salt`: of a search, so that no other
    has the same object, and that of one that fails can go.
    """

    queries: tuple[Query, ...]
    soft: Mapping[str, str] = field(default_factory=dict)
    photographs: tuple[bytes, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)
    salt: str = ""

    def to_bytes(self) -> bytes:
        """As stored: the same for equal contents."""
        return orjson.dumps(
            {
                "queries": [
                    {"model": one.model, "vector": b64encode(np.asarray(one.vector, "<f4").tobytes()).decode()}
                    for one in self.queries
                ],
                "soft": dict(sorted(self.soft.items())),
                "photographs": [b64encode(one).decode() for one in self.photographs],
                "least": dict(sorted(self.least.items())),
                **({"salt": self.salt} if self.salt else {}),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sought":
        """Inverse of `to_bytes`."""
        said = orjson.loads(data)
        return cls(
            tuple(Query(one["model"], np.frombuffer(b64decode(one["vector"]), "<f4")) for one in said["queries"]),
            said["soft"],
            tuple(b64decode(one) for one in said["photographs"]),
            said.get("least", {}),
            said.get("salt", ""),
        )


def digest_of(data: bytes) -> str:
    """How the ledger names an object."""
    return hashlib.sha256(data).hexdigest()


def name_of(case: str, digest: str) -> str:
    """Where an object of a case lies."""
    return f"cases/{case}/{digest}.bin"


def digest_in(name: str) -> str | None:
    """The digest that a name of `name_of` holds; None of any other object."""
    found = re.fullmatch(r"cases/[^/]+/([0-9a-f]{64})\.bin", name)
    return found and found[1]
