"""A whole city in processes of its own, as `bomnae up` starts it, and what a test does with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from schemas.settings import Settings
from serve.auth import Principal, Role, mint
from serve.ingress import free_ports
from streams import instance
from streams.connection import Access, access_of

START_S = 180.0


class Asked:
    """A city as its clients see it: `api` is an HTTP client, tokens are signed with the secret in a file."""

    def __init__(self, base: str, secret: Path) -> None:
        self.base, self._secret = base, secret
        self.api = httpx.Client(base_url=base, timeout=30)

    def token(self, role: Role, facility: str | None = None, gateway: str | None = None) -> dict[str, str]:
        principal = Principal(f"test-{role}", frozenset({role}), facility, gateway)
        minted = mint(self._secret.read_bytes().strip(), principal, datetime.now(UTC), timedelta(hours=1))
        return {"authorization": f"Bearer {minted}"}

    def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `holds` returns as soon as it is true; a server that is away counts as not yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := holds():
                    return found
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, f"still not so after {seconds} s"
            time.sleep(0.1)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.api.get(path, params=params)
        if answer.status_code in (500, 502, 503, 504):
            raise httpx.HTTPError(answer.text)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Running(Asked):
    """`start`, `stop`; kills find processes among our own descendants only."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http_port, self.ingress_port = free_ports(2)
        self.environment = {
            "BOMNAE_DATA": str(self.folder),
            "BOMNAE_HTTP_PORT": str(self.http_port),
            "BOMNAE_HAPROXY_METRICS_PORT": str(self.ingress_port),
            "BOMNAE_NATS_PORT": "0",
            "BOMNAE_WEBSOCKET_PORT": "0",
            "BOMNAE_MQTT_PORT": "0",
            "BOMNAE_NATS_MONITOR_PORT": "0",
            "BOMNAE_SIMULATE": "false",
            "BOMNAE_ENCODER_REPLICAS": "0",
            "BOMNAE_SNAPSHOT_EVERY_S": "5",
            "BOMNAE_INGEST_MAX_MB": "2048",
            "BOMNAE_LOG_MAX_MB": "256",
            "BOMNAE_KEY_TEST": f"sqlite://{self.folder.with_suffix('.sqlite')}",
            **self.environment,
        }
        self.log = self.folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        super().__init__(f"http://127.0.0.1:{self.http_port}", self.folder / "jwt-secret")

    def start(self) -> "Running":
        with self.log.open("ab") as log:
            log.truncate(0)
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("bomnae"), "up"],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until(lambda: "Ctrl-C" in self.said() or self.process.poll() is not None, START_S)  # type: ignore[union-attr]
        assert self.process.poll() is None, self.said()
        return self

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(90)

    def said(self) -> str:
        return self.log.read_text()

    @property
    def settings(self) -> Settings:
        own = {name: value for name, value in self.environment.items() if not name.startswith("BOMNAE_KEY_")}
        return Settings.model_validate({name.removeprefix("BOMNAE_").lower(): value for name, value in own.items()})

    @property
    def access(self) -> Access:
        return access_of(self.settings)

    @property
    def ports(self) -> instance.Ports:
        found = instance.load(self.folder)
        assert found is not None
        return found.ports

    def descendants(self, name: str) -> list[psutil.Process]:
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in family if name in command_line(one)]

    def kill(self, *names: str) -> None:
        """SIGKILL every process of this city whose command line contains one of `names`; at least one."""
        victims = [victim for name in names for victim in self.descendants(name)]
        assert victims, f"no process {names} among {[command_line(one)[:60] for one in self.descendants('')]}"
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)


def command_line(process: psutil.Process) -> str:
    """Empty where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
