"""The command line `bomnae`: options and help of every command. What they do lies in `serve.commands`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from schemas.errors import BomnaeError, InvalidError
from serve import cli_population
from serve.commands.terminal import FAILED, UNAVAILABLE, err, exit_code, out, settings_of
from streams.api import UNREACHABLE

app = typer.Typer(
    name="bomnae",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Bomnae 봄내: a city's facilities and roads as an event-sourced, reactive service.",
    epilog="Exit codes: 0 well · 1 a check failed · 2 wrong use or set-up · 3 a part does not answer. "
    "Settings are environment variables: docs/settings.md.",
)
replays = typer.Typer(no_args_is_help=True, help="Send recorded real input through NATS, as a city would upload it.")
credential = typer.Typer(no_args_is_help=True, help="Users of the embedded NATS; effective without a restart.")
app.add_typer(replays, name="replay")
app.add_typer(credential, name="credentials")
app.add_typer(cli_population.app, name="population")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the instance. Default: BOMNAE_DATA, else .bomnae.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
KindArg = Annotated[
    str,
    typer.Argument(
        help="device, gateway, camera, camera-gateway, provider, app, staff-app, officer, host, operator or backup."
    ),
]
NameArg = Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")]
Speed = Annotated[
    str, typer.Option(help="`recorded`, `max` (as fast as possible), or a number: times the recorded speed.")
]
Shift = Annotated[bool, typer.Option("--shift", help="Move the recorded times to now. Else they stay as recorded.")]


@app.command()
def up(data: Data = None) -> None:
    """Start the city on this machine, print what to open, and run until Ctrl-C, which drains and keeps the data."""
    from serve import node

    raise typer.Exit(node.run(settings_of(data), out))


@app.command()
def down(
    data: Data = None,
    timeout: Annotated[float, typer.Option(help="Longest wait for the drain, in seconds.")] = 60.0,
) -> None:
    """Stop the city of this folder from another terminal: it drains first. Well when none runs."""
    from serve.commands.down import down as stop

    out.print(stop(settings_of(data).data, timeout), markup=False)


@app.command()
def status(data: Data = None, json: Json = False) -> None:
    """What runs: NATS, the API and its shards, the streams with their sizes. Exit code 3 unless all is well."""
    from serve.commands.status import show, status_of

    found = asyncio.run(status_of(settings_of(data)))
    if json:
        _print_json(found)
    else:
        show(found)
    raise typer.Exit(0 if found["ready"] else UNAVAILABLE)


@app.command()
def simulate(
    incident: Annotated[str, typer.Argument(help="bridge-settlement, market-fire, snowfall or excavation.")],
    data: Data = None,
) -> None:
    """Play an incident over the simulated city and show the events that follow. Everything in it is synthetic."""
    from serve.commands.simulate import simulate as play

    asyncio.run(play(settings_of(data), incident))


@app.command()
def listen(
    subject: Annotated[
        str, typer.Argument(help="Below city.pub. or city.staff.; * stands for one word, > for all that follow.")
    ] = "city.pub.>",
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: at Ctrl-C.")] = 0,
    data: Data = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each event as a CloudEvent, one JSON object a line.")
    ] = False,
) -> None:
    """Show the events of the feed as they happen, until Ctrl-C. Exit code 3 where no city runs."""
    from serve.commands.listen import listen as hear

    asyncio.run(hear(settings_of(data), subject, count, json))


@replays.command()
def openlab(
    source: Annotated[Path, typer.Option("--from", help="The tidy CSV of the openLAB load test, or its folder.")],
    speed: Speed = "max",
    shift: Shift = False,
    data: Data = None,
) -> None:
    """A load test on a real bridge (TU Dresden): displacement, strain, force, and the faults of its lasers.

    Exit code 1 when a reading was rejected; a second run with the recorded times counts nothing twice.
    """
    from serve.commands.replay import openlab as run

    if not asyncio.run(run(settings_of(data), source, speed, shift)):
        raise typer.Exit(FAILED)


@replays.command()
def montreal(
    source: Annotated[Path, typer.Option("--from", help="One planif-neige CSV, or the folder with all polls.")],
    speed: Speed = "max",
    shift: Shift = False,
    data: Data = None,
) -> None:
    """Polls of Montréal's snow clearing; a second run over the same files changes nothing."""
    from serve.commands.replay import montreal as run

    asyncio.run(run(settings_of(data), source, speed, shift))


@replays.command()
def faces(
    source: Annotated[Path, typer.Option("--from", help="The folder with embeddings.npy and labels.npy.")],
    hold_out: Annotated[
        int, typer.Option(min=0, help="Keep back so many last photographs of each person, to search with.")
    ] = 0,
    until: Annotated[
        str, typer.Option(help="When the walks end, with its zone: 2026-01-15T09:00:00+09:00. Default: now.")
    ] = "",
    data: Data = None,
) -> None:
    """Labelled face embeddings as sightings; cameras, places and times are synthetic. A second run adds nothing."""
    from serve.commands.cameras import moment
    from serve.commands.replay import faces as run

    asyncio.run(run(settings_of(data), source, hold_out, moment(until) if until else None))


@app.command()
def cameras(
    camera: Annotated[list[str], typer.Option(help="The id of a registered camera; one for each --url.")],
    video: Annotated[Path | None, typer.Option(help="A video file of one camera.")] = None,
    start: Annotated[
        str, typer.Option(help="When the video began, with its zone: 2026-01-15T09:00:00+09:00. Needed with --video.")
    ] = "",
    url: Annotated[list[str] | None, typer.Option(help="Where a camera gives a snapshot; may be repeated.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between two snapshots of a camera.")] = 1.0,
    step: Annotated[int, typer.Option(min=1, help="Take every n-th frame of the video.")] = 1,
    local: Annotated[bool, typer.Option("--local", help="Encode in this process, not by the city's encoder.")] = False,
    data: Data = None,
) -> None:
    """Find people in a video file, or in snapshots until Ctrl-C, and send them as sightings through NATS."""
    from serve.commands import cameras as run

    settings = settings_of(data)
    if video is not None:
        if url or len(camera) != 1:
            raise InvalidError("--video goes with one --camera and no --url")
        asyncio.run(run.video(settings, video, camera[0], run.moment(start), step, local=local))
    else:
        asyncio.run(run.snapshots(settings, run.sources(url or [], camera, every), local=local))


@app.command()
def verify(data: Data = None, json: Json = False) -> None:
    """Rebuild every shard from the log, with and without snapshots, and compare events and digests bit for bit.

    Works while the city runs, up to the newest commit read, and while it is stopped. Exit code 1 on a difference.
    """
    from serve.commands.verify import verify as check

    asyncio.run(check(settings_of(data), json))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the backup.")], data: Data = None
) -> None:
    """Copy the streams of the running city into a folder, while it runs."""
    from serve.commands.backup import backup as save

    asyncio.run(save(settings_of(data), folder))


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="The folder of a backup.")], data: Data = None) -> None:
    """Bring a backup into a data folder without a city; start it with `bomnae up`, check it with `bomnae verify`."""
    from serve.commands.backup import restore as bring

    asyncio.run(bring(settings_of(data), folder))


@app.command()
def token(
    role: Annotated[
        list[str],
        typer.Option(
            help="auditor, case-officer, citizen, device, gateway, operator, police, road, safety or staff; repeatable."
        ),
    ],
    subject: Annotated[str, typer.Option(help="Who holds it; shows in what they do. Default: local-<role>.")] = "",
    facility: Annotated[str | None, typer.Option(help="The facility that a device speaks for.")] = None,
    gateway: Annotated[str | None, typer.Option(help="The gateway that a gateway's token speaks as.")] = None,
    hours: Annotated[float, typer.Option("--ttl", help="How long it is valid, in hours.")] = 12.0,
    data: Data = None,
) -> None:
    """Mint a bearer token of this instance for local use and print it."""
    from serve.auth import Principal
    from serve.commands.token import token as mint

    principal = Principal(subject or f"local-{role[0]}", frozenset(role), facility, gateway)
    typer.echo(mint(settings_of(data), principal, hours))


@credential.command("add")
def credentials_add(
    kind: KindArg,
    name: NameArg,
    entity: Annotated[
        list[str] | None, typer.Option(help="A device's facility; the roads of a gateway; the datasets of a provider.")
    ] = None,
    case: Annotated[list[str] | None, typer.Option(help="A case whose watch hits an officer hears; repeat it.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Create a user and print its password, which is shown this once."""
    from serve.commands.credentials import add

    add(settings_of(data), kind, name, [*(entity or []), *(case or [])], json)


@credential.command("revoke")
def credentials_revoke(kind: KindArg, name: NameArg, data: Data = None) -> None:
    """Take a user away and close its connections."""
    from serve.commands.credentials import revoke

    revoke(settings_of(data), kind, name)


@credential.command("list")
def credentials_list(data: Data = None, json: Json = False) -> None:
    """All users that were given out, without passwords."""
    from serve.commands.credentials import show

    show(settings_of(data), json)


@app.command()
def asyncapi(data: Data = None) -> None:
    """Print the AsyncAPI 3.0 document of the NATS, WebSocket and MQTT subjects."""
    from serve.commands.documents import asyncapi_document

    _print_json(asyncapi_document(settings_of(data)), indent=True)


@app.command()
def openapi() -> None:
    """Print the OpenAPI 3.1 document of the HTTP API."""
    from serve.commands.documents import openapi_document

    _print_json(openapi_document(), indent=True)


def _print_json(value: Any, indent: bool = False) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode())


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; errors raised on purpose are one sentence on stderr."""
    try:
        app(arguments)
    except BomnaeError as error:
        err.print(f"bomnae: {error}", markup=False)
        sys.exit(exit_code(error))
    except UNREACHABLE as error:
        err.print(f"bomnae: {error or type(error).__name__}", markup=False)
        sys.exit(UNAVAILABLE)
    except KeyboardInterrupt:
        sys.exit(130)
