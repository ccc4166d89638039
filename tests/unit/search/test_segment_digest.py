"""What the digest of a segment is computed over, said once more in the plainest way."""

import hashlib
import struct
from dataclasses import replace

import numpy as np

from serve.search.index import Index
from serve.search.segment_digest import digest
from serve.search.segment_rows import ATTRIBUTES
from tests.unit.search.crowd import MODEL, crowd, half, table


def test_a_digest_is_over_texts_behind_each_other_and_numbers_row_by_row() -> None:
    seen = [replace(one, id=f"{one.id}-봄내", camera=f"다리-{one.camera}") for one in crowd(40)]
    index = Index(MODEL)
    index.append(table(seen).slice(7, 21))  # a view: the letters before its first row are none of its own
    (segment,) = index.state.segments
    rows = sorted(seen[7:28], key=lambda one: (one.camera, one.time))
    said = hashlib.sha256(f"{len(rows)}\n".encode())
    texts = [[one.id for one in rows], [one.camera for one in rows]]
    texts += [[one.attributes.get(name) for one in rows] for name in ATTRIBUTES]
    for column in texts:
        known = [text.encode() for text in column if text is not None]
        said.update(bytes(text is not None for text in column))
        said.update(b"".join(struct.pack("<i", 0 if text is None else len(text.encode())) for text in column))
        said.update(b"".join(known))
    said.update(b"".join(struct.pack("<q", one.time) for one in rows))
    said.update(b"".join(struct.pack("<f", one.quality) for one in rows))
    said.update(np.stack([half(np.float16(one.vector)) for one in rows]).astype(np.float16).tobytes())
    assert digest(segment, index.texts) == said.hexdigest()
