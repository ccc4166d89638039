"""Load on a running city that remembers what was acknowledged: every sender repeats itself until it has an answer."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import nats
import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from streams import credentials
from tests.cluster.running import Running
from tests.unit.facility.scenario import T0, arrow

FACILITIES = tuple(f"soak-{number}" for number in range(4))
GATED = 20
"""Sensors of the gateway per facility."""
ROWS = 5
"""Readings of each of them in one Arrow batch."""
_AGAIN_S, _PAUSE_S = 0.1, 0.05
_BRIDGE = {"name_ko": "시험교", "name_en": "Test Bridge", "kind": "bridge", "grade": "C", "synthetic": True}


@dataclass
class Sender:
    """One who sends numbered messages one after the other; `acknowledged` of them were, the last begun at `since`."""

    name: str
    acknowledged: int = 0
    since: float = 0.0
    busy: bool = False
    repeats: int = 0
    refusals: list[str] = field(default_factory=list)


class Load:
    """Readings over HTTP (one at a time) and NATS (Arrow batches), and commands under a key, until `stop`.

    Reading n of an HTTP sensor has the value 2 where n is odd, else 0: each odd one is an alarm, each even one ends it.
    Command n of a facility sets the limit of its sensor `…-limit` to n.
    """

    def __init__(self, city: Running) -> None:
        self._city = city
        self.http = {f"{name}-http": Sender(f"{name}-http") for name in FACILITIES}
        self.gateway = {name: Sender(f"{name}-gateway") for name in FACILITIES}
        self.commands = {name: Sender(f"{name}-commands") for name in FACILITIES}
        self._stop, self._pause = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    @property
    def senders(self) -> list[Sender]:
        return [*self.http.values(), *self.gateway.values(), *self.commands.values()]

    def start(self) -> "Load":
        self._register()
        self._gateway = credentials.add(self._city.folder, "gateway", "soak")
        self._thread.start()
        return self

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Begin nothing new meanwhile; entered when all that was begun is acknowledged."""
        self._pause.set()
        try:
            self._city.until(lambda: not any(one.busy for one in self.senders))
            yield
        finally:
            self._pause.clear()

    def stop(self) -> None:
        """Begin nothing new, and wait until all that was begun is acknowledged."""
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), [one for one in self.senders if one.refusals]
        credentials.revoke(self._city.folder, "gateway", "soak")
        assert not [one for one in self.senders if one.refusals]

    def well_since(self, moment: float) -> bool:
        """Whether each sender has an answer to something that it first sent after `moment` (monotonic)."""
        return all(one.since > moment for one in self.senders)

    def _register(self) -> None:
        safety = self._city.token("safety")
        for name in FACILITIES:
            limits = [{"condition": "high", "level": "warning", "on": 1.0, "off": 0.5}]
            sensors: dict[str, dict[str, Any]] = {f"{name}-http": {"limits": limits}, f"{name}-limit": {}}
            sensors |= {f"{name}-gw-{number}": {"gateway": "soak"} for number in range(GATED)}
            paths: dict[str, dict[str, Any]] = {f"/v1/facilities/{name}": _BRIDGE}
            for sensor, more in sensors.items():
                facts = {"kind": "tilt", "unit": "mm/m", "synthetic": True, "recorded": True, **more}
                paths[f"/v1/facilities/{name}/sensors/{sensor}"] = facts
            for path, body in paths.items():
                answer = self._city.api.put(path, json=body, headers=safety)
                assert answer.status_code == 200, answer.text
            self._city.get(f"/v1/facilities/{name}", min_position=answer.json()["position"])

    async def _run(self) -> None:
        url = f"nats://127.0.0.1:{self._city.ports.nats}"
        options = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, **self._gateway.options()}
        nc = await nats.connect(url, error_cb=_ignore, **options)
        limits = httpx.Limits(max_connections=32)
        async with httpx.AsyncClient(base_url=self._city.base, timeout=5, limits=limits) as api:
            await asyncio.gather(
                *(self._send(one, self._post(api, name)) for name, one in self.http.items()),
                *(self._send(one, self._publish(nc, name)) for name, one in self.gateway.items()),
                *(self._send(one, self._command(api, name)) for name, one in self.commands.items()),
            )
        await nc.close()

    async def _send(self, sender: Sender, attempt: Callable[[int], Awaitable[str | None]]) -> None:
        pauses = random.Random(sender.name)  # noqa: S311 - repeatable
        while not self._stop.is_set():
            sender.busy = not self._pause.is_set()
            if not sender.busy:
                await asyncio.sleep(_AGAIN_S)
                continue
            began = time.monotonic()
            while (refusal := await attempt(sender.acknowledged + 1)) is not None:
                sender.repeats += 1
                if refusal:
                    sender.refusals.append(refusal)
                    return
                await asyncio.sleep(_AGAIN_S)
            sender.acknowledged, sender.since = sender.acknowledged + 1, began
            await asyncio.sleep(pauses.uniform(_PAUSE_S, 2 * _PAUSE_S))

    def _post(self, api: httpx.AsyncClient, sensor: str) -> Callable[[int], Awaitable[str | None]]:
        async def attempt(number: int) -> str | None:
            headers = self._city.token("device", facility=sensor.removesuffix("-http"))
            moment = (T0 + timedelta(seconds=number)).isoformat()
            body = {"sensor": sensor, "time": moment, "value": 2.0 * (number % 2), "sequence": number}
            return await _answered(api.post("/v1/readings", json=body, headers=headers), 202)

        return attempt

    def _publish(self, nc: Client, facility: str) -> Callable[[int], Awaitable[str | None]]:
        async def attempt(number: int) -> str | None:
            data = arrow(
                [
                    (f"{facility}-gw-{sensor}", float(sequence), float(sequence), sequence, 1, 0)
                    for sensor in range(GATED)
                    for sequence in range((number - 1) * ROWS + 1, number * ROWS + 1)
                ]
            )
            headers = {"content-type": "application/vnd.apache.arrow.stream"}
            try:
                reply = await nc.request(f"city.raw.facility.{facility}.gw-soak", data, timeout=2, headers=headers)
            except (NatsError, TimeoutError, OSError):
                return ""
            answer = orjson.loads(reply.data)
            return str(answer["error"]) if "error" in answer else None

        return attempt

    def _command(self, api: httpx.AsyncClient, facility: str) -> Callable[[int], Awaitable[str | None]]:
        path = f"/v1/facilities/{facility}/sensors/{facility}-limit/thresholds"

        async def attempt(number: int) -> str | None:
            headers = {**self._city.token("safety"), "idempotency-key": f"{facility}-{number}"}
            limit = {"condition": "high", "level": "warning", "on": float(number), "off": 0.0}
            return await _answered(api.put(path, json={"limits": [limit]}, headers=headers), 200)

        return attempt


async def _answered(asked: Awaitable[httpx.Response], status: int) -> str | None:
    """None where it was answered as it should; empty where it is worth repeating; else the refusal."""
    try:
        answer = await asked
    except httpx.HTTPError:
        return ""
    if answer.status_code == status:
        return None
    # What is not a problem document is not ours: Serve's ingress while it has nobody to pass the request to.
    ours = answer.headers.get("content-type") == "application/problem+json"
    return "" if not ours or answer.status_code in (429, 503) else answer.text


async def _ignore(error: Exception) -> None:
    """A connection that is lost and found again is what these tests are about."""
