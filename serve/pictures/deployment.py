"""The encoder as a Ray Serve deployment of its own: autoscaled, batched, one OpenVINO device.

`Encoding` is the plain class; `encoder` binds it. Callers hold a handle: `handle.people.remote(picture)` gives the
people of a camera's picture as `serve.pictures.wire` has them, `handle.query.remote(picture)` a `Taken`.
It keeps nothing between two pictures: who sends a camera's pictures follows people through them (`Follower`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ray import serve as ray_serve
from ray.serve import Application

from schemas.errors import BomnaeError, InvalidError
from schemas.settings import Settings
from serve.pictures import wire
from serve.pictures.decode import Decoder, jpeg
from serve.pictures.encoder import Encoder, Taken
from serve.pictures.sandbox import Pixels

T = TypeVar("T")

BATCH, WAIT_S = 8, 0.01
"""Pictures that one run of the networks takes, and how long the first waits for others."""
PHOTO_BYTES, PHOTO_LONGEST = 1_000_000, 1_920
"""What is kept of a photograph: bytes, and pixels of its longer side."""
_ONGOING = 4 * BATCH


class Encoding:
    """One replica: an encoder and a process that decodes."""

    def __init__(self, settings: Settings) -> None:
        self._encoder, self._decoder = Encoder.of(settings), Decoder()
        self._turn = asyncio.Lock()
        # Its types know functions alone, where a bound method is one too.
        batched: Any = ray_serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_S)
        self._frames, self._photographs = batched(self.follow), batched(self.describe)

    async def people(self, picture: bytes) -> bytes:
        """Everybody in a camera's picture, as `wire.to_bytes` has it. Raises `InvalidError`, without harm to others."""
        found: bytes | BomnaeError = await self._frames(picture)
        return _good(found)

    async def query(self, picture: bytes) -> Taken:
        """Everybody in a photograph, the best first, and the photograph as it may be kept.

        Raises `InvalidError` for a picture that cannot be read or shows nobody, without harm to others of its batch.
        """
        found: Taken | BomnaeError = await self._photographs(picture)
        return _good(found)

    async def follow(self, pictures: Sequence[bytes]) -> list[bytes | BomnaeError]:
        """For each picture of a camera who is in it, or why that cannot be said."""
        found = await self._each(pictures, self._encoder.people)
        return [one if isinstance(one, BomnaeError) else wire.to_bytes(one) for one in found]

    async def describe(self, pictures: Sequence[bytes]) -> list[Taken | BomnaeError]:
        """For each photograph who is in it, or why that cannot be said."""
        found = await self._each(pictures, self._taken)
        return [one if isinstance(one, BomnaeError) or one.people else _nobody() for one in found]

    def _taken(self, photographs: list[Pixels]) -> list[Taken]:
        pairs = zip(self._encoder.queries(photographs), photographs, strict=True)
        return [Taken(people, jpeg(pixels, PHOTO_BYTES, PHOTO_LONGEST, quality=90)) for people, pixels in pairs]

    async def _each(self, pictures: Sequence[bytes], act: Callable[[list[Pixels]], list[T]]) -> list[T | BomnaeError]:
        """What `act` makes of those that can be read, and for the others the error, in their order."""
        read = [await asyncio.to_thread(self._read, picture) for picture in pictures]
        good = [one for one in read if not isinstance(one, BomnaeError)]
        async with self._turn:
            made = iter(await asyncio.to_thread(act, good))
        return [one if isinstance(one, BomnaeError) else next(made) for one in read]

    def _read(self, picture: bytes) -> Pixels | BomnaeError:
        try:
            return self._decoder.decode(picture)
        except BomnaeError as error:
            return error


def _good(answer: T | BomnaeError) -> T:
    if isinstance(answer, BomnaeError):
        raise answer
    return answer


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
