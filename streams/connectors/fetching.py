"""Where datasets come from: a file, or a provider over HTTP, asked politely and page by page.

What the bytes mean is for whoever calls; of a page only that another one follows is asked, by a function handed in.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from schemas.dataset import FromFile, FromHttp
from schemas.errors import InvalidError, NotFoundError, TooManyRequestsError, UnavailableError

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)
_CHUNK = 262_144

More = Callable[[bytes, int], bool]
"""Whether another page follows this one, of which so many have come."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source gave: one page or several. `mark` tells it from what comes next time; `source` names no key."""

    pages: tuple[bytes, ...]
    mark: str
    source: str


def from_file(folder: Path | None, connector: FromFile, mark: str, most: int) -> Fetched | None:
    """The file, or None where its bytes are those of `mark`.

    Raises `NotFoundError` where there is none, `InvalidError` where it lies outside of the folder or is larger than
    `most` bytes.
    """
    if folder is None:
        raise NotFoundError("folder of datasets: set BOMNAE_DATASETS_FROM to read file", connector.file)
    path = (folder / connector.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InvalidError(f"{connector.file} leads out of the folder of datasets")
    if not path.is_file():
        raise NotFoundError("file below the folder of datasets", connector.file)
    if (size := path.stat().st_size) > most:
        raise InvalidError(f"{connector.file} has {size:,} bytes, and {most:,} at most are read")
    data = path.read_bytes()
    now = hashlib.sha256(data).hexdigest()
    return None if now == mark else Fetched((data,), now, connector.file)


async def from_http(
    session: aiohttp.ClientSession, connector: FromHttp, key: str | None, mark: str, more: More, most: int
) -> Fetched | None:
    """All pages of an answer; None where the provider says, or its bytes show, that nothing is new.

    `mark` is an ETag as the provider gave it, or a digest of the bytes. Raises `UnavailableError` (to be asked again)
    where the provider does not answer or fails, `TooManyRequestsError` with the pause that it asks for, `InvalidError`
    where it refuses or sends more than `most` bytes. No message names the key.
    """
    paging, pages, size, etag = connector.paging, list[bytes](), 0, ""
    for number in range(paging.most if paging is not None else 1):
        asked = dict(connector.parameters)
        if key is not None:
            asked[connector.key_parameter] = key
        if paging is not None:
            asked |= {paging.page: str(paging.first + number), paging.size: str(paging.rows)}
        headers = {"if-none-match": mark} if mark.startswith(('"', "W/")) and not number else {}
        answer = await _asked(session, connector.url, asked, headers, most - size)
        if answer is None:
            return None
        body, tag = answer
        pages.append(body)
        size += len(body)
        etag = tag if not number else ""
        if paging is None or not more(body, len(pages)):
            break
    else:
        raise InvalidError(f"{connector.url} has more than {len(pages)} pages: raise paging.most, or paging.rows")
    now = etag or hashlib.sha256(b"".join(hashlib.sha256(page).digest() for page in pages)).hexdigest()
    return None if now == mark else Fetched(tuple(pages), now, connector.url)


async def _asked(
    session: aiohttp.ClientSession, url: str, parameters: Mapping[str, str], headers: Mapping[str, str], most: int
) -> tuple[bytes, str] | None:
    try:
        async with session.get(url, params=parameters, headers=headers, timeout=TIMEOUT) as answer:
            if answer.status == 304:
                return None
            _judge(url, answer)
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > most:
                    raise InvalidError(f"{url} sends more bytes than are read: ask for fewer rows")
            return bytes(body), answer.headers.get("etag", "")
    except (aiohttp.ClientError, TimeoutError) as error:
        # Not the error's own words: they hold the address with the key.
        raise UnavailableError(f"{url} does not answer ({type(error).__name__})", retry_after_s=60) from None


def _judge(url: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status < 300:
        return
    pause = answer.headers.get("retry-after", "")
    seconds = int(pause) if pause.isascii() and pause.isdigit() else 60
    if answer.status == 429:
        raise TooManyRequestsError(f"{url} has been asked too often", retry_after_s=seconds)
    if answer.status >= 500:
        raise UnavailableError(f"{url} answers {answer.status}", retry_after_s=seconds)
    raise InvalidError(f"{url} refuses with {answer.status} {answer.reason}: look at address, parameters and key")


class Pause:
    """How long a source that failed is left alone: doubling from the interval's tenth (10 s at least) to six hours."""

    LEAST_S, MOST_S = 10.0, 21_600.0

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, interval_s: float, asked_s: float = 0.0) -> float:
        """Seconds until it is asked again, at least the `asked_s` that it asks for."""
        self._failures += 1
        doubled = max(self.LEAST_S, interval_s / 10) * 2.0 ** min(self._failures - 1, 20)
        return max(asked_s, min(doubled, self.MOST_S))

    def answered(self) -> None:
        """It answers again."""
        self._failures = 0


async def read(folder: Path | None, connector: FromFile, mark: str, most: int) -> Fetched | None:
    """`from_file` in a thread."""
    return await asyncio.to_thread(from_file, folder, connector, mark, most)
