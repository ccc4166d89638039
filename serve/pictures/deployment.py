"""The encoder as a Ray Serve deployment of its own: autoscaled, batched, one OpenVINO device.

`Encoding` is the plain class; `encoder` binds it. Callers hold a handle: `handle.sightings.remote(camera, picture,
time)` gives an Arrow IPC stream, `handle.query.remote(picture)` a list of `Described`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ray import serve as ray_serve
from ray.serve import Application

from schemas.errors import BomnaeError, InvalidError
from schemas.settings import Settings
from serve.pictures.decode import Decoder
from serve.pictures.encoder import Described, Encoder
from serve.pictures.sandbox import Pixels
from streams.connectors.feeder import to_stream

BATCH, WAIT_S = 8, 0.01
"""Photographs that one run of the networks takes, and how long the first waits for others."""
_ONGOING = 4 * BATCH


class Encoding:
    """One replica: an encoder and a process that decodes."""

    def __init__(self, settings: Settings) -> None:
        self._encoder, self._decoder = Encoder.of(settings), Decoder()
        self._turn = asyncio.Lock()
        # Its types know functions alone, where a bound method is one too.
        batched: Any = ray_serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_S)
        self._batched = batched(self.describe)

    async def sightings(self, camera: str, picture: bytes, time_us: int) -> bytes:
        """One snapshot's sightings as an Arrow IPC stream; empty bytes where nobody is seen. Raises `InvalidError`."""
        pixels = await asyncio.to_thread(self._decoder.decode, picture)
        async with self._turn:
            table = await asyncio.to_thread(self._encoder.sightings, [pixels], camera, [time_us])
        return to_stream(table.combine_chunks().to_batches()[0]) if table.num_rows else b""

    async def query(self, picture: bytes) -> list[Described]:
        """Everybody in a photograph, the best first.

        Raises `InvalidError` for a picture that cannot be read or shows nobody, without harm to others of its batch.
        """
        found: list[Described] | BomnaeError = await self._batched(picture)
        if isinstance(found, BomnaeError):
            raise found
        return found

    async def describe(self, pictures: Sequence[bytes]) -> list[list[Described] | BomnaeError]:
        """For each photograph who is in it, or why that cannot be said."""
        read = [await asyncio.to_thread(self._read, picture) for picture in pictures]
        good: list[Pixels] = [one for one in read if not isinstance(one, BomnaeError)]
        async with self._turn:
            found = iter(await asyncio.to_thread(self._encoder.queries, good))
        return [one if isinstance(one, BomnaeError) else next(found) or _nobody() for one in read]

    def _read(self, picture: bytes) -> Pixels | BomnaeError:
        try:
            return self._decoder.decode(picture)
        except BomnaeError as error:
            return error


def _nobody() -> InvalidError:
    return InvalidError("no person and no face large enough is to be seen in the picture")


def encoder(settings: Settings | None = None) -> Application:
    """The deployment. A replica wants a core; with an OpenVINO device GPU or NPU, Ray does not count that device."""
    settings = settings or Settings()
    deployment = ray_serve.deployment(
        name="encoder",
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": 1},
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": settings.encoder_replicas,
            "target_ongoing_requests": BATCH,
        },
    )
    return deployment(Encoding).bind(settings)
