"""What `bomnae up` prints to try: every command is one of this program, called so that a shell finds it."""

import shlex
import sys
from pathlib import Path

import pytest
import typer.main

from schemas.packs.load import load_pack
from schemas.settings import Settings
from serve.cli import app
from serve.greeting import greeting, program
from streams.server import EmbeddedServer

PACK = load_pack("chuncheon")


def commands(settings: Settings) -> list[list[str]]:
    said = greeting(settings, PACK, EmbeddedServer(settings.data)).splitlines()
    return [
        shlex.split(line.split("   ")[0]) for line in (one.strip() for one in said) if "bomnae" in line.split(" ")[0]
    ]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in `.venv` of the working directory, not activated."""
    for name in ("python", "bomnae"):
        path = tmp_path / ".venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    return tmp_path


def test_each_command_exists_and_is_called_by_its_place_where_path_does_not_find_it(installed: Path) -> None:
    known = typer.main.get_command(app)
    found = commands(Settings(data=installed / ".bomnae"))
    assert len(found) == 4
    for script, name, *arguments in found:
        assert script == ".venv/bin/bomnae"
        assert "--data" not in arguments
        context = typer.Context(known)
        command = known.get_command(context, name)
        assert command is not None
        command.make_context(name, arguments, parent=context)


def test_the_name_alone_is_printed_where_path_finds_this_installation(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(installed / ".venv" / "bin"))
    assert program() == "bomnae"


def test_from_elsewhere_the_whole_path_is_printed(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert program() == str(installed / ".venv" / "bin" / "bomnae")


def test_another_data_folder_is_named_in_each_command(installed: Path) -> None:
    for _, *arguments in commands(Settings(data=installed / "second city")):
        assert arguments[-2:] == ["--data", str(installed / "second city")]


def test_nothing_is_printed_that_is_not_installed(installed: Path) -> None:
    said = greeting(Settings(data=installed), PACK, EmbeddedServer(installed))
    assert "nats --server" not in said
    assert f"/v1/facilities/{PACK.facilities[0].id}" in said
