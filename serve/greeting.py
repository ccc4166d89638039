"""What `bomnae up` prints once the city runs: addresses, and commands that work as they stand."""

import shlex
import shutil
import sys
from pathlib import Path

from schemas.packs.pack import Pack
from schemas.settings import Settings
from streams.server import EmbeddedServer


def greeting(settings: Settings, pack: Pack, server: EmbeddedServer) -> str:
    """The addresses, then examples for the terminal that this one was typed into."""
    base = f"http://{settings.host}:{settings.http_port}"
    lines = [
        f"  API       {base}/v1/facilities",
        f"  docs      {base}/docs",
        f"  NATS      {server.url}   WebSocket {server.websocket_url}   MQTT {settings.host}:{server.bound.mqtt}",
        "",
        *(f"  curl -s {base}/v1/facilities/{one.id}" for one in pack.facilities[:1]),
        f"  curl -s '{base}/v1/sensors/latest?limit=5'",
        f"  curl -sN {base}/v1/live",
        "",
    ]
    examples = {
        "listen 'city.pub.>'": "what apps hear on NATS, as it happens",
        "simulate market-fire": "an alarm within a minute",
        "simulate excavation": "a road closure",
        "token --role safety": "a token to acknowledge the alarm with",
    }
    data = [] if settings.data.absolute() == Path(".bomnae").absolute() else ["--data", shlex.quote(str(settings.data))]
    commands = {" ".join([program(), example, *data]): text for example, text in examples.items()}
    width = max(map(len, commands))
    return "\n".join([*lines, *(f"  {command:{width}}   {text}" for command, text in commands.items())])


def program() -> str:
    """How to call this installation's `bomnae` from the working directory: by name only where PATH finds this one."""
    script = Path(sys.executable).with_name("bomnae")
    found = shutil.which("bomnae")
    if not script.exists() or (found is not None and Path(found).samefile(script)):
        return "bomnae"
    here = Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))
