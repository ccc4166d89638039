"""Requests per second of the API on Serve as it runs, on one plain uvicorn, and behind Serve's default proxy.

Two clusters run side by side over one NATS each and load the same city pack; the three are asked in turns by the same
generator. The uvicorn reads the state of the first cluster's shards, as the replicas do.
"""

import asyncio
import os
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx

from bench.city import City, city
from bench.report import Report, arguments, percentile, run
from bench.requests import CONNECTIONS, Generator
from schemas.settings import Settings
from serve import ingress
from serve.node import Child

PATHS = {"facility": "/v1/facilities/soyang-2-bridge", "sensors": "/v1/sensors/latest"}
WAYS = ("serve", "uvicorn", "default_proxy")


def environment(made: City, port: int, temporary: str, haproxy: bool) -> dict[str, str]:
    """Of a cluster over a city; Ray's files lie in a folder of its own, where a second process finds the cluster."""
    ours = {
        "BOMNAE_DATA": str(made.server.folder),
        "BOMNAE_HTTP_PORT": str(port),
        **{f"BOMNAE_{context.upper()}_SHARDS": str(count) for context, count in made.contexts.items()},
        "BOMNAE_CLIENT_RATE": "1000000",
        "BOMNAE_CLIENT_BURST": "1000000",
        "RAY_TMPDIR": temporary,
    }
    proxy = ingress.environment(Settings(data=made.server.folder)) if haproxy else {}
    return {**os.environ, **ours, **proxy}


async def answers(port: int) -> None:
    """Wait until both paths are answered with 200."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(60):
        for path in PATHS.values():
            while True:
                try:
                    if (await client.get(path)).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.2)


async def start(stack: AsyncExitStack, ports: dict[str, int], way: str) -> dict[str, str]:
    """Bring one cluster up, the city pack loaded; its environment."""
    made = await stack.enter_async_context(city(4, 256))
    temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="bb", ignore_cleanup_errors=True))
    env = environment(made, ports[way], temporary, way == "serve")
    child = stack.enter_context(Child("serve.cluster", env, Path(temporary) / "cluster.log"))
    await asyncio.to_thread(child.ready, SimpleNamespace(asked=False))  # type: ignore[arg-type]
    return env


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process, if it has not ended by itself."""
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def start_plain(stack: AsyncExitStack, env: dict[str, str], port: int) -> None:
    """Bring the uvicorn up beside a cluster."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.plain", str(port), env=env)
    stack.push_async_callback(stop, process)


async def measure(quick: bool) -> Report:
    """Three rounds of each way in turns, the best of each."""
    seconds, rounds = (1.0, 1) if quick else (8.0, 3)
    report = Report("http", goals={"of_uvicorn": "≥ 0.3", "over_default_proxy": "≥ 3"})
    best: dict[tuple[str, str], list[float]] = {}
    async with AsyncExitStack() as stack:
        ports = dict(zip(WAYS, ingress.free_ports(3), strict=True))
        generator = Generator()
        stack.callback(generator.close)
        env = await start(stack, ports, "serve")
        await start_plain(stack, env, ports["uvicorn"])
        await start(stack, ports, "default_proxy")
        for way in WAYS:
            await answers(ports[way])
            for path in PATHS.values():
                await generator.ask(ports[way], path, min(seconds, 2.0))
        for _ in range(rounds):
            for name, path in PATHS.items():
                for way in WAYS:
                    took = await generator.ask(ports[way], path, seconds)
                    if len(took) > len(best.get((name, way), [])):
                        best[name, way] = took
    of_uvicorn, over_default = [], []
    for name in PATHS:
        for way in WAYS:
            took = best[name, way]
            report.add(f"{name}_{way}_per_s", len(took) / seconds, "requests/s")
            report.add(f"{name}_{way}_p99_ms", percentile(took, 0.99) * 1e3, "ms")
        of_uvicorn.append(len(best[name, "serve"]) / len(best[name, "uvicorn"]))
        over_default.append(len(best[name, "serve"]) / len(best[name, "default_proxy"]))
    report.ratio("of_uvicorn", min(of_uvicorn))
    report.ratio("over_default_proxy", min(over_default))
    report.notes.append(f"{CONNECTIONS} connections, {seconds:g} s a round, best of {rounds}; ratios: the worse path")
    return report


if __name__ == "__main__":
    given = arguments("http", __doc__ or "").parse_args()
    run(lambda: measure(given.quick), given.json)
