"""Asks one URL again and again over some connections, from a process of its own; tells the time of each answer."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

CONNECTIONS = 16


class Asker(asyncio.Protocol):
    """One connection that asks again when the answer is whole. Answers need a Content-Length and the status 200."""

    def __init__(self, request: bytes, until: float, took: list[float], failed: Callable[[str], None]) -> None:
        self._request, self._until, self._took, self._failed = request, until, took, failed
        self._buffer, self._asked = b"", 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._asked = time.monotonic()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Note a whole answer, and ask again while there is time."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        fields = {
            k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if b" 200 " not in head[:16] or b"content-length" not in fields:
            self._failed(head.decode(errors="replace"))
            self._transport.close()
        elif len(body) >= int(fields[b"content-length"]):
            self._buffer, now = b"", time.monotonic()
            self._took.append(now - self._asked)
            if now < self._until:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if exc is not None:
            self._failed(repr(exc))
        if not self.done.done():
            self.done.set_result(None)


async def _ask(port: int, path: str, seconds: float) -> tuple[list[float], list[str]]:
    took: list[float] = []
    failed: list[str] = []
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    loop, until = asyncio.get_running_loop(), time.monotonic() + seconds
    pairs = [
        await loop.create_connection(lambda: Asker(request, until, took, failed.append), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(asker.done for _, asker in pairs))
    return took, failed


def _serve(pipe: Pipe) -> None:
    while True:
        port, path, seconds = pipe.recv()
        pipe.send(asyncio.run(_ask(port, path, seconds)))


class Generator:
    """The asking process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), name="requests", daemon=True)
        self._process.start()
        there.close()

    async def ask(self, port: int, path: str, seconds: float) -> list[float]:
        """The times of all answers (s). Raises `RuntimeError` when one of them is not a 200."""
        self._pipe.send((port, path, seconds))
        took, failed = await asyncio.to_thread(self._pipe.recv)
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(took)} requests to {path} failed: {failed[0]}")
        return list(took)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
