"""Where datasets come from: a file, or a provider over HTTP, asked politely and page by page.

What the bytes mean is for whoever calls; of a page only that another one follows is asked, by a function handed in.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
from yarl import URL

from schemas.dataset import FromFile, FromHttp
from schemas.errors import InvalidError, NotFoundError, TooManyRequestsError, UnavailableError

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)
_CHUNK = 262_144
_LONGEST_TAG = 200
"""Of an ETag; one that is longer is passed over."""
_REDIRECTS = 5
_LONGEST_PAUSE_S = 86_400
"""A provider that asks for more is asked again after a day."""

More = Callable[[bytes, int], bool]
"""Whether another page follows this one, of which so many have come."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source gave: one page or several. `mark` tells it from what comes next time; `source` holds no key."""

    pages: tuple[bytes, ...]
    mark: str
    source: str


def from_file(folder: Path | None, connector: FromFile, mark: str, most: int) -> Fetched | None:
    """The file, or None where its bytes are those of `mark`.

    Raises `NotFoundError` where there is none, `InvalidError` where it lies outside of the folder (links are followed
    first) or is larger than `most` bytes, `UnavailableError` where it cannot be read now.
    """
    if folder is None:
        raise NotFoundError("folder of datasets: set BOMNAE_DATASETS_FROM to read file", connector.file)
    try:
        data = _bytes(folder.resolve(), connector.file, most)
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links is a RuntimeError
        raise UnavailableError(f"{connector.file} cannot be read ({type(error).__name__})", 60) from None
    now = hashlib.sha256(data).hexdigest()
    return None if now == mark else Fetched((data,), now, connector.file)


def _bytes(folder: Path, name: str, most: int) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InvalidError(f"{name} leads out of the folder of datasets")
    if not path.is_file():
        raise NotFoundError("file below the folder of datasets", name)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InvalidError(f"{name} has {path.stat().st_size:,} bytes, and {most:,} at most are read")
    return data


async def from_http(
    session: aiohttp.ClientSession, connector: FromHttp, key: str | None, mark: str, more: More, most: int
) -> Fetched | None:
    """All pages of an answer; None where the provider says, or its bytes show, that nothing is new.

    `mark` is an ETag as the provider gave it (of what comes in one page), or a digest of the bytes. A redirection is
    followed to the same host alone, since it may carry the key. Raises `UnavailableError` (to be asked again)
    where the provider does not answer or fails, `TooManyRequestsError` with the pause that it asks for, `InvalidError`
    where it refuses or sends more than `most` bytes. No message names the key.
    """
    paging, pages, size, etag = connector.paging, list[bytes](), 0, ""
    url, source = _address(connector.url)
    for number in range(paging.most if paging is not None else 1):
        asked = dict(connector.parameters)
        if key is not None:
            asked[connector.key_parameter] = key
        if paging is not None:
            asked |= {paging.page: str(paging.first + number), paging.size: str(paging.rows)}
        # The tag of a first page says nothing of those that follow it.
        headers = {"if-none-match": mark} if mark.startswith(('"', "W/")) and paging is None else {}
        answer = await _asked(session, url.update_query(asked), headers, most - size)
        if answer is None:
            return None
        body, tag = answer
        pages.append(body)
        size += len(body)
        etag = tag if paging is None and len(tag) <= _LONGEST_TAG else ""
        if paging is None or not more(body, len(pages)):
            break
    else:
        raise InvalidError(f"{source} has more than {len(pages)} pages: raise paging.most, or paging.rows")
    now = etag or digest_of(pages)
    return None if now == mark else Fetched(tuple(pages), now, source)


def digest_of(pages: Sequence[bytes]) -> str:
    """What tells pages from others: SHA-256 of theirs."""
    return hashlib.sha256(b"".join(hashlib.sha256(page).digest() for page in pages)).hexdigest()


def _address(said: str) -> tuple[URL, str]:
    """An address, and how it may be named: without user and query, where a key may stand."""
    try:
        url = URL(said)
        return url, str(url.with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        raise InvalidError("the url of this source is no address: give https://host/path") from None


async def _asked(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], most: int
) -> tuple[bytes, str] | None:
    source = _address(str(url))[1]
    try:
        for _ in range(_REDIRECTS + 1):
            async with session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False) as answer:
                if answer.status in {301, 302, 303, 307, 308}:
                    url = _onward(source, answer)
                    continue
                if answer.status == 304:
                    return None
                _judge(source, answer)
                body = bytearray()
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > most:
                        raise InvalidError(f"{source} sends more bytes than are read: ask for fewer rows")
                return bytes(body), answer.headers.get("etag", "")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # Not the error's own words: they hold the address with the key.
        raise UnavailableError(f"{source} does not answer ({type(error).__name__})", retry_after_s=60) from None
    raise InvalidError(f"{source} redirects more than {_REDIRECTS} times")


def _onward(source: str, answer: aiohttp.ClientResponse) -> URL:
    """Where a redirection leads, within the same host, and not from HTTPS to HTTP."""
    onward = answer.url.join(URL(answer.headers.get("location", "")))
    secured = answer.url.scheme == "http" and answer.url.is_default_port() and onward.is_default_port()
    if onward.host != answer.url.host or not (
        onward.origin() == answer.url.origin() or (secured and onward.scheme == "https")
    ):
        raise InvalidError(f"{source} has moved to {_address(str(onward))[1]}: give that address")
    return onward


def _judge(source: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status < 300:
        return
    if answer.status == 429:
        raise TooManyRequestsError(f"{source} has been asked too often", retry_after_s=_pause_s(answer))
    if answer.status >= 500:
        raise UnavailableError(f"{source} answers {answer.status}", retry_after_s=_pause_s(answer))
    # Without the words beside the status, in which a provider may repeat the key.
    raise InvalidError(f"{source} refuses with {answer.status}: look at address, parameters and key")


def _pause_s(answer: aiohttp.ClientResponse) -> int:
    """The seconds of `Retry-After`, which may be a date, too; a minute without any."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return min(int(said[:9]), _LONGEST_PAUSE_S)
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(answer.headers.get("date", ""))
        return max(1, min(int(wait.total_seconds()), _LONGEST_PAUSE_S))
    except (ValueError, TypeError):
        return 60


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
