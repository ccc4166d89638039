"""A city on a Ray cluster as an operator brings it up: docs/operations.md step by step, in processes of their own.

Three nats-servers with the files of docs/nats, `serve.prepare`, a head and a worker in the environment of cluster.yaml,
and `serve deploy serve/config.yaml`. All listen on ports and write into folders of this instance alone, and all are
ended by their ids.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from schemas.settings import Settings
from serve import ingress
from tests.cluster.running import Asked, command_line
from tests.unit.test_ops_files import ROOT, environment

BIN = Path(sys.executable).parent
NATS = ROOT / "docs" / "nats"
PER_INSTANCE = ("_PORT", "_PATH", "_LOC", "_BASE", "_FILE")
"""What Serve's variables for ports and paths end in."""
SMALL = {"BOMNAE_FACILITY_SHARDS": "4", "BOMNAE_ROAD_SHARDS": "2", "BOMNAE_SHARD_HOSTS": "2"}
"""Less than cluster.yaml has: all machines of this cluster are one."""


class Deployed(Asked):
    """`start`, then `stop`. Its clients ask the worker, as behind a load balancer; the head has an ingress too."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.users, self.home = folder, folder / "users", folder / "home"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._secrets = self.home / "bomnae-secrets"
        self._secrets.mkdir(parents=True)
        (self._secrets / "jwt-secret").write_text(os.urandom(32).hex())
        gcs, self._dashboard, self.head_port, worker_port = ingress.free_ports(4)
        self._gcs = f"127.0.0.1:{gcs}"
        self.nats_ports = ingress.free_ports(3)
        self.environment = {
            **os.environ,
            **environment(self.home),
            **SMALL,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "BOMNAE_NATS_URLS": ",".join(f"nats://127.0.0.1:{port}" for port in self.nats_ports),
            "RAY_ADDRESS": self._gcs,
            "RAY_DASHBOARD_ADDRESS": f"http://127.0.0.1:{self._dashboard}",
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(worker_port),
        }
        # Not below `folder`: the paths of Ray's sockets may have 107 characters.
        self._ray = Path(tempfile.mkdtemp(prefix="bomnae-"))
        super().__init__(f"http://127.0.0.1:{worker_port}", self._secrets / "jwt-secret")

    def start(self) -> "Deployed":
        self._nats()
        self.says("python", "-m", "serve.prepare", BOMNAE_DATA=str(self.users))
        self.says("ray", "get-auth-token", "--generate")
        port = self._gcs.split(":")[1]
        loopback = ("--dashboard-host=127.0.0.1", f"--dashboard-port={self._dashboard}")
        self._node("head", "--head", f"--port={port}", "--num-cpus=0", *loopback)
        self.until(lambda: httpx.get(f"http://127.0.0.1:{self._dashboard}/").is_success)
        self._node("worker", f"--address={self._gcs}", "--num-cpus=4")
        # serve/config.yaml says 8000, which another may hold here; a Serve that runs keeps the port that it has.
        self.says("serve", "start", "--http-host=0.0.0.0", f"--http-port={self.head_port}")
        self.says("serve", "deploy", str(ROOT / "serve" / "config.yaml"))
        return self

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            _end(process)
        shutil.rmtree(self._ray)

    def says(self, program: str, *arguments: str, **more: str) -> str:
        """What a program of this environment prints, which ends well."""
        done = subprocess.run(
            [BIN / program, *arguments],
            env={**self.environment, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def operator(self) -> dict[str, str]:
        """The environment of a command that reads the log: as for a backup."""
        return {"BOMNAE_NATS_USER": "backup-ops", "BOMNAE_NATS_PASSWORD_FILE": str(self._secrets / "ops")}

    def hosts(self) -> list[psutil.Process]:
        """The processes of the shard hosts."""
        family = psutil.Process(self.processes["worker"].pid).children(recursive=True)
        return [one for one in family if "ray::ShardActor" in command_line(one)]

    def applications(self) -> dict[str, str]:
        """The status of each."""
        told = yaml.safe_load(self.says("serve", "status"))["applications"]
        return {name: one["status"] for name, one in told.items()}

    def dismiss(self, name: str) -> None:
        """End an actor for good: Ray does not restart it."""
        gone = f"import ray; ray.init(namespace='bomnae'); ray.kill(ray.get_actor('{name}'))"
        self.says("python", "-c", gone)

    def _nats(self) -> None:
        for kind, name, file in (("host", "ray", "nats-password"), ("backup", "ops", "ops")):
            made = self.says("bomnae", "credentials", "add", kind, name, "--data", str(self.users), "--json")
            (self._secrets / file).write_text(json.loads(made)["password"])
        peers = ingress.free_ports(3)
        monitors = ingress.free_ports(3)
        for number in range(3):
            home = self.folder / f"nats-{number + 1}"
            home.mkdir()
            shutil.copy(self.users / "nats" / "users.conf", home)
            websocket, mqtt = ingress.free_ports(2)
            own = {
                "0.0.0.0:4222": f"127.0.0.1:{self.nats_ports[number]}",
                "127.0.0.1:8222": f"127.0.0.1:{monitors[number]}",
                "0.0.0.0:9222": f"127.0.0.1:{websocket}",
                "0.0.0.0:1883": f"127.0.0.1:{mqtt}",
                "/var/lib/nats": str(home / "store"),
            }
            routes = {f"nats-{n + 1}:6222": f"127.0.0.1:{peer}" for n, peer in enumerate(peers)}
            (home / "nats.conf").write_text(replaced(NATS / "nats.conf", own))
            (home / "cluster.conf").write_text(
                replaced(NATS / "cluster.conf", {"0.0.0.0:6222": f"127.0.0.1:{peers[number]}", **routes})
            )
            name = f"nats-{number + 1}"
            self._launch(name, [BIN / "nats-server", "--config", home / "nats.conf"], NATS_NAME=name)
        for port in monitors:
            self.until(lambda port=port: httpx.get(f"http://127.0.0.1:{port}/healthz").is_success)

    def _node(self, name: str, *arguments: str) -> None:
        """`ray start` with the ports and paths of this instance; `--block` keeps the node's processes below ours."""
        agent, client, metrics = ingress.free_ports(3)
        ports = [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
        if "--head" in arguments:
            ports.append(f"--ray-client-server-port={client}")
        own = [*ports, "--node-ip-address=127.0.0.1", f"--temp-dir={self._ray}", "--disable-usage-stats", "--block"]
        apart = {one: value for one, value in ingress.environment(Settings()).items() if one.endswith(PER_INSTANCE)}
        self._launch(name, [BIN / "ray", "start", *arguments, *own], **apart)

    def _launch(self, name: str, command: list[Any], **more: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env={**self.environment, **more},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def replaced(file: Path, pairs: dict[str, str]) -> str:
    """The text of a file with addresses of ours; each that is replaced must be there."""
    text = file.read_text()
    for old, new in pairs.items():
        assert old in text, f"{file} says {old} no more"
        text = text.replace(old, new)
    return text


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill its session: HAProxy outlives its node, and by then has no parent; nothing here needs to drain."""
    process.kill()
    process.wait()
    while members := [one for one in psutil.process_iter() if _session(one) == process.pid]:
        for one in members:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(members, 1)


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, psutil.Error):
        return None
