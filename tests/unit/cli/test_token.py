"""`bomnae token` against the verifier of the API."""

import re
import stat
import time
import typing
from pathlib import Path

import pytest

from schemas.settings import Settings
from serve.app import verifier_of
from serve.auth import ROLES
from serve.cli import main, token


def mint(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["token", "--data", str(folder), *arguments])
    said = capsys.readouterr()
    return int(left.value.code or 0), (said.out or said.err).strip()


async def test_a_minted_token_is_who_it_says_to_the_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = mint(capsys, tmp_path, "--role", "safety", "--role", "road", "--subject", "night-shift")
    principal = await verifier_of(Settings(data=tmp_path)).verify(text, time.time())
    assert code == 0
    assert (principal.subject, principal.roles) == ("night-shift", {"safety", "road"})


async def test_a_devices_token_names_its_facility(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = mint(capsys, tmp_path, "--role", "device", "--facility", "bridge-1")
    principal = await verifier_of(Settings(data=tmp_path)).verify(text, time.time())
    assert principal.facility == "bridge-1"


def test_the_secret_is_for_its_owner_alone_and_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mint(capsys, tmp_path, "--role", "safety")
    secret = (tmp_path / "jwt-secret").read_bytes()
    mint(capsys, tmp_path, "--role", "safety")
    assert stat.S_IMODE((tmp_path / "jwt-secret").stat().st_mode) == 0o600
    assert (tmp_path / "jwt-secret").read_bytes() == secret


@pytest.mark.parametrize(
    "arguments",
    [
        ("--role", "mayor"),
        ("--role", "device"),
        ("--role", "safety", "--gateway", "north"),
        ("--role", "safety", "--ttl", "0"),
        ("--role", "safety", "--ttl", "100000"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = mint(capsys, tmp_path, *arguments)
    assert code == 2
    assert said.startswith("bomnae: ")


def test_the_help_names_every_role() -> None:
    (role,) = typing.get_args(typing.get_type_hints(token, include_extras=True)["role"])[1:]
    assert set(re.findall(r"[a-z-]+", role.help.rpartition(";")[0])) - {"or"} == ROLES
