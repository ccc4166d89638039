"""Options and help of `bomnae population`; what the commands do lies in `serve.commands.population`."""

# ruff: noqa: PLC0415 - help must not wait for what a command needs
import asyncio
from pathlib import Path
from typing import Annotated

import typer

from serve.commands.terminal import settings_of

app = typer.Typer(no_args_is_help=True, help="Who is where when (체류인구): sources, their files, and the map.")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the instance. Default: BOMNAE_DATA, else .bomnae.", show_default=False),
]


@app.command()
def register(
    source: Annotated[str, typer.Argument(help="Its id, as fare-card.")],
    measure: Annotated[
        str, typer.Option(help="people-present, living-population, boardings, alightings or residents.")
    ],
    title: Annotated[tuple[str, str], typer.Option(help="What it is called, in Korean and in English.")],
    provider: Annotated[str, typer.Option(help="Who counts.")],
    licence: Annotated[str, typer.Option(help="Under what its counts may be used.")],
    hours: Annotated[
        str, typer.Option(help="When it counts: 5-24 is 05:00 to 24:00. A whole day has all of them.")
    ] = "",
    suppress_below: Annotated[int, typer.Option(min=3, help="Counts below it, of a cell and hour, never leave.")] = 5,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="It is made up.")] = False,
    data: Data = None,
) -> None:
    """Register a source that counts, or correct it. The same facts again change nothing."""
    from serve.commands.population import facts
    from serve.commands.population import register as run

    told = facts(measure, title, provider, licence, hours, suppress_below, synthetic=synthetic)
    asyncio.run(run(settings_of(data), source, told))


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="The CSV as it came from the fare-card system or the operator.")],
    source: Annotated[str, typer.Option(help="The id of the source that it is of.")],
    places: Annotated[
        Path | None, typer.Option(help="A CSV of the stops with coordinates, for a file that has none.")
    ] = None,
    day: Annotated[str, typer.Option(help="The day of a file that does not say it: 2025-12-31.")] = "",
    columns: Annotated[str, typer.Option(help="Headers that are others than expected: day:일자,value:인구.")] = "",
    alike: Annotated[
        str, typer.Option(help="Rows that differ in the name of their place alone `add` up, or count `once`.")
    ] = "add",
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Load the counts of a file and print what became of every number. The same file again changes nothing."""
    from serve.commands.population import load as run

    query = {"day": day, "columns": columns, "alike": alike}
    given = {name: value for name, value in query.items() if value}
    asyncio.run(run(settings_of(data), file, source, places, given, json=json))


@app.command()
def retire(
    source: Annotated[str, typer.Argument(help="The id of the source.")],
    reason: Annotated[str, typer.Option(help="Why nothing more comes of it; everybody reads it.")],
    data: Data = None,
) -> None:
    """Take no more counts of a source. Those that it has stay readable, and marked; again it changes nothing."""
    from serve.commands.population import retire as run

    asyncio.run(run(settings_of(data), source, reason))


@app.command("map")
def draw(
    question: Annotated[
        str,
        typer.Argument(
            help="As behind `/v1/population?`: measure=boardings&hours=8,12,18&bbox=127.66,37.82,127.8,37.95"
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="The picture to write, .svg or .png.")],
    data: Data = None,
) -> None:
    """Draw the map of an answer into a file."""
    from serve.commands.population import draw as run

    run(settings_of(data), question, to)
