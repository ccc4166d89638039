"""What readers see of a sighting shard, as Arrow tables built when a camera changed, and its snapshot."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from actors.sighting.state import Block, Camera, Erasure, State
from schemas.base import micros
from schemas.sighting import CameraFacts, ErasureRequested
from schemas.tables import CAMERAS, ERASURES

_SAVED_CAMERAS = pa.schema(
    {
        "camera": pa.string(),
        "facts": pa.string(),
        "registered": pa.int64(),
        "heard": pa.int64(),
        "silent_since": pa.int64(),
        "models": pa.string(),
    }
)
_SAVED_BLOCKS = pa.schema(
    {
        "camera": pa.string(),
        "block": pa.string(),
        "model": pa.string(),
        "dimensions": pa.int32(),
        "rows": pa.int64(),
        "first": pa.int64(),
        "last": pa.int64(),
        "keys": pa.large_binary(),
        "exists": pa.bool_(),
    }
)
_SAVED_ERASURES = pa.schema(
    {
        "camera": pa.string(),
        "asked": pa.string(),
        "rows": pa.int64(),
        "blocks": pa.int64(),
        "segments": pa.int64(),
        "erased_at": pa.int64(),
        "told": pa.list_(pa.string()),
    }
)


def tables(state: State) -> dict[str, pa.Table]:
    """The published tables, in the order of registration; what no event touched is not built again."""
    return {
        "cameras": _kept(state, "cameras", _cameras, CAMERAS),
        "erasures": _kept(state, "erasures", _erasures, ERASURES),
    }


def dump(state: State) -> dict[str, pa.Table]:
    """The whole state, for a snapshot. Nothing of a person is in it."""
    cameras = [
        {
            "camera": camera_id,
            "facts": camera.facts.model_dump_json(),
            "registered": camera.registered,
            "heard": camera.heard,
            "silent_since": camera.silent_since,
            "models": orjson.dumps(camera.models).decode(),
        }
        for camera_id, camera in state.cameras.items()
    ]
    return {
        "cameras": pa.Table.from_pylist(cameras, _SAVED_CAMERAS),
        "blocks": pa.Table.from_pylist(list(_saved_blocks(state)), _SAVED_BLOCKS),
        "erasures": pa.Table.from_pylist(list(_saved_erasures(state)), _SAVED_ERASURES),
    }


def load(saved: dict[str, pa.Table]) -> State:
    """Inverse of `dump`: the same digest, the same tables."""
    state = State()
    for row in saved["cameras"].to_pylist():
        facts, models = CameraFacts.model_validate_json(row["facts"]), orjson.loads(row["models"])
        times = {name: row[name] for name in ("registered", "heard", "silent_since")}
        state.cameras[row["camera"]] = Camera(facts, models=models, **times)
        state.touch("camera", row["camera"], row["camera"])
    for row in saved["blocks"].to_pylist():
        camera, keys = state.cameras[row["camera"]], np.frombuffer(row["keys"], "<u8").astype(np.uint64)
        block = Block(row["model"], row["dimensions"], row["rows"], row["first"], row["last"], keys)
        (camera.blocks if row["exists"] else camera.rests)[row["block"]] = block
        state.touch("block" if row["exists"] else "rest", row["camera"], row["block"])
    for camera in state.cameras.values():
        known = [block.keys for block in (*camera.blocks.values(), *camera.rests.values())]
        camera.seen.add(np.concatenate(known) if known else np.zeros(0, np.uint64))
        camera.take_stock()
    for row in saved["erasures"].to_pylist():
        asked = ErasureRequested.model_validate_json(row["asked"])
        counts = {name: row[name] for name in ("rows", "blocks", "segments", "erased_at")}
        state.cameras[row["camera"]].erasures[asked.erasure] = Erasure(asked, told=set(row["told"]), **counts)
        state.touch("erasure", row["camera"], asked.erasure)
    return state


def _kept(state: State, name: str, build: Callable[[State], Iterator[dict[str, Any]]], schema: pa.Schema) -> pa.Table:
    if name not in state.tables:
        state.tables[name] = pa.Table.from_pylist(list(build(state)), schema)
    return state.tables[name]


def _cameras(state: State) -> Iterator[dict[str, Any]]:
    for camera_id, camera in state.cameras.items():
        facts, position = camera.facts, camera.facts.position
        yield {
            **dict(facts),
            "camera": camera_id,
            "lon": position.lon,
            "lat": position.lat,
            "position_synthetic": position.synthetic,
            "registered_at": camera.registered,
            "heard_at": camera.heard,
            "silent_since": camera.silent_since,
            "models": sorted(camera.models),
            "blocks": len(camera.blocks),
            "sightings": camera.sightings,
        }


def _erasures(state: State) -> Iterator[dict[str, Any]]:
    for camera_id, camera in state.cameras.items():
        for erasure_id, erasure in camera.erasures.items():
            asked = erasure.asked
            yield {
                "camera": camera_id,
                "erasure": erasure_id,
                "window_start": micros(asked.window.start) if asked.window else None,
                "window_end": micros(asked.window.end) if asked.window else None,
                "sightings": asked.sightings,
                "reason": asked.reason,
                "by": asked.by,
                "case": asked.case,
                "requested_at": micros(asked.at),
                "erased_at": erasure.erased_at,
                "rows": erasure.rows,
                "blocks": erasure.blocks,
                "segments": erasure.segments,
            }


def _saved_blocks(state: State) -> Iterator[dict[str, Any]]:
    for camera_id, camera in state.cameras.items():
        for exists, blocks in ((True, camera.blocks), (False, camera.rests)):
            for name, block in blocks.items():
                yield {
                    "camera": camera_id,
                    "block": name,
                    "model": block.model,
                    "dimensions": block.dimensions,
                    "rows": block.rows,
                    "first": block.first,
                    "last": block.last,
                    "keys": block.keys.astype("<u8").tobytes(),
                    "exists": exists,
                }


def _saved_erasures(state: State) -> Iterator[dict[str, Any]]:
    for camera_id, camera in state.cameras.items():
        for erasure in camera.erasures.values():
            yield {
                "camera": camera_id,
                "asked": erasure.asked.model_dump_json(),
                "rows": erasure.rows,
                "blocks": erasure.blocks,
                "segments": erasure.segments,
                "erased_at": erasure.erased_at,
                "told": sorted(erasure.told),
            }
