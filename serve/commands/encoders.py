"""Who finds the people in pictures for `bomnae cameras`: the city's encoder over HTTP, or one in this process."""

import asyncio
import time
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from schemas.errors import BomnaeError, InvalidError, UnavailableError
from schemas.models import ModelCard
from schemas.settings import Settings
from serve.address import recall
from serve.auth import Principal
from serve.commands.token import token
from serve.pictures import wire
from serve.pictures.cards import cards
from serve.pictures.decode import Decoder
from serve.pictures.encoder import Encoder
from serve.pictures.follow import Looks
from serve.pictures.track import Detection

NAME = "cameras"
_TOKEN_H = 1.0
_TIMEOUT = aiohttp.ClientTimeout(total=60)
_REFUSED = (401, 403)


class People(Protocol):
    """Finds the people in a JPEG, PNG or WebP picture. Use as a context manager."""

    async def models(self) -> list[ModelCard]:
        """The cards of its networks."""

    async def people(self, picture: bytes) -> list[Detection[Looks]]:
        """Everybody in it. Raises `InvalidError` for a picture of no use, `UnavailableError` for a try in vain."""


class OfCity:
    """The encoder of a running city, as its gateway `cameras`; as many pictures at once as the callers ask for."""

    def __init__(self, settings: Settings, base: str = "") -> None:
        self._settings, self._base = settings, base or recall(settings)
        self._session = aiohttp.ClientSession(self._base, timeout=_TIMEOUT)
        self._bearer, self._until = "", 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def models(self) -> list[ModelCard]:
        """See `People`."""
        try:
            async with self._session.get("/v1/models") as response:
                return [ModelCard.model_validate(one) for one in (await response.json())["items"]]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise self._away(error) from error

    async def people(self, picture: bytes) -> list[Detection[Looks]]:
        """See `People`."""
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "image/jpeg"}
        try:
            async with self._session.post("/v1/encodings", data=picture, headers=headers) as response:
                if response.status == 200:
                    return await asyncio.to_thread(wire.from_bytes, await response.read())
                said = await response.json(content_type=None)
                raise self._refusal(response.status, str(said.get("detail") or said.get("title")))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    def _refusal(self, status: int, why: str) -> BomnaeError:
        if status in _REFUSED:
            return UnavailableError(f"the city at {self._base} refuses this instance's token: {why}")
        return InvalidError(why) if status < 429 else UnavailableError(why)

    def _away(self, error: Exception) -> UnavailableError:
        why = str(error) or type(error).__name__
        return UnavailableError(
            f"the city's encoder does not answer at {self._base} ({why}): start the city, or encode here with --local"
        )

    def _token(self) -> str:
        # Minted anew long before it ends: cameras are watched for months.
        if time.monotonic() > self._until:
            whom = Principal(NAME, frozenset({"gateway"}), gateway=NAME)
            self._bearer = token(self._settings, whom, _TOKEN_H)
            self._until = time.monotonic() + _TOKEN_H * 1800
        return self._bearer


class Here:
    """An encoder in this process, for where no city runs; one picture at a time, whatever the number of cameras."""

    def __init__(self, settings: Settings, encoder: Encoder | None = None) -> None:
        self._settings, self._encoder, self._decoder = settings, encoder or Encoder.of(settings), Decoder()
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()

    async def models(self) -> list[ModelCard]:
        """See `People`."""
        return cards(self._settings)

    async def people(self, picture: bytes) -> list[Detection[Looks]]:
        """See `People`."""
        pixels = await asyncio.to_thread(self._decoder.decode, picture)
        async with self._turn:
            (found,) = await asyncio.to_thread(self._encoder.people, [pixels])
        return found
