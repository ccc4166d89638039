"""The command line as a script sees it: exit codes, one sentence for an error, quick help."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from schemas.errors import (
    ConflictError,
    DivergenceError,
    InvalidError,
    LogGapError,
    NotFoundError,
    SetupError,
    StorageFullError,
    UnavailableError,
)
from serve.cli import main
from serve.commands.terminal import exit_code


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DivergenceError("LOG_ROAD_0", 7, "digest"), 1),
        (LogGapError("LOG_ROAD_0", 7, 9), 1),
        (SetupError("choose another folder"), 2),
        (InvalidError("no"), 2),
        (NotFoundError("credential", "app-map"), 2),
        (ConflictError("it exists"), 2),
        (UnavailableError("away"), 3),
        (StorageFullError("LOG_ROAD_0"), 3),
    ],
)
def test_the_exit_code_tells_a_failed_check_from_wrong_use_from_a_city_that_is_away(error: object, code: int) -> None:
    assert exit_code(error) == code  # type: ignore[arg-type]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--help") == 0
    said = capsys.readouterr().out
    for command in (
        "up", "down", "status", "simulate", "listen", "replay", "verify", "backup", "restore", "token", "credentials",
        "asyncapi", "openapi",
    ):  # fmt: skip
        assert f" {command} " in said


def test_help_waits_for_neither_ray_nor_fastapi() -> None:
    check = "import sys, serve.cli; sys.exit(bool({'ray', 'fastapi', 'polars', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_wrong_setting_is_one_sentence_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOMNAE_HTTP_PORT", "70000")
    assert code_of("status") == 2
    said = capsys.readouterr().err
    assert said.startswith("bomnae: BOMNAE_HTTP_PORT: ")
    assert said.count("\n") == 1


def test_an_unknown_option_is_wrong_use() -> None:
    assert code_of("status", "--nonsense") == 2


def test_verify_of_a_folder_without_a_city_says_so_and_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("verify", "--data", str(tmp_path / "none")) == 2
    assert "holds no instance" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_unknown_incident_is_refused_with_the_names_of_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("simulate", "earthquake", "--data", str(tmp_path)) == 2
    assert "bridge-settlement, market-fire, snowfall, excavation" in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(speed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("replay", "openlab", "--from", str(tmp_path), "--speed", speed, "--data", str(tmp_path)) == 2
    assert "--speed" in capsys.readouterr().err


def test_down_is_well_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lock").write_text("1")
    assert code_of("down", "--data", str(tmp_path)) == 0
    assert "no instance runs" in capsys.readouterr().out


def test_openapi_and_asyncapi_need_no_running_city(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("openapi") == 0
    assert "/v1/facilities/{facility}" in orjson.loads(capsys.readouterr().out)["paths"]
    assert code_of("asyncapi", "--data", str(tmp_path)) == 0
    assert orjson.loads(capsys.readouterr().out)["asyncapi"] == "3.0.0"


def test_credentials_are_added_listed_without_passwords_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("credentials", "add", "device", "meter-1", "--entity", "bridge-1", "--data", str(tmp_path)) == 0
    password = next(line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("password"))
    assert code_of("credentials", "list", "--json", "--data", str(tmp_path)) == 0
    listed = capsys.readouterr().out
    assert orjson.loads(listed) == [
        {"kind": "device", "name": "meter-1", "user": "device-meter-1", "entities": ["bridge-1"]}
    ]
    assert password not in listed
    assert code_of("credentials", "revoke", "device", "meter-1", "--data", str(tmp_path)) == 0
    assert code_of("credentials", "revoke", "device", "meter-1", "--data", str(tmp_path)) == 2


def test_an_officers_credential_names_its_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = ("--case", "case-1", "--case", "case-2")
    assert code_of("credentials", "add", "officer", "kim", *cases, "--data", str(tmp_path)) == 0
    assert "officer-kim" in capsys.readouterr().out
    assert code_of("credentials", "add", "officer", "lee", "--data", str(tmp_path)) == 2
