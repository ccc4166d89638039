"""Commands on a data folder of which a file is cut, missing or not to be written: which file, and what to do."""

import os
import stat
from pathlib import Path

import pytest

from serve.cli import main
from streams import credentials, instance
from streams.instance import Instance, Ports


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a first start leaves, without a server."""
    data = tmp_path / "data"
    credentials.render(data)
    instance.save(data, Instance("bomnae-test", Ports(4222, 9222, 1883, 8222)))
    return data


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence of a command that is wrong use."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    text = capsys.readouterr().err
    assert left.value.code == 2
    assert text.startswith("bomnae: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize("content", ["", '{"a"', "[]", '{"app-map": {"kind": "app"}}', '{"app-map": 1}'])
def test_a_damaged_list_of_users_is_named(folder: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "credentials" / "users.json").write_text(content)
    for command in (("list",), ("add", "app", "map"), ("revoke", "app", "map")):
        text = said(capsys, "credentials", *command, "--data", str(folder))
        assert "users.json is damaged" in text
        assert "remove it" in text
    assert (folder / "credentials" / "users.json").read_text() == content


@pytest.mark.parametrize("content", ["", '{"kind": "operator"', "[]", '{"kind": "operator"}'])
def test_a_damaged_credential_of_the_node_is_named(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "credentials" / "operator.json").write_text(content)
    text = said(capsys, "verify", "--data", str(folder))
    assert "operator.json is damaged" in text
    assert "remove it and start the city anew" in text


def test_a_missing_credential_of_the_node_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "credentials" / "host.json").unlink()
    assert "host.json is missing" in said(capsys, "simulate", "snowfall", "--data", str(folder))


@pytest.mark.parametrize("missing", ["users.json", "host.json"])
def test_what_is_removed_as_advised_is_made_again(folder: Path, missing: str) -> None:
    (folder / "credentials" / missing).unlink()
    credentials.render(folder)
    assert '"user": "host-local"' in (folder / "nats" / "users.conf").read_text()
    assert credentials.local(folder).user == "host-local"


@pytest.mark.parametrize("content", ["", "short"])
def test_a_cut_secret_is_named_and_signs_nothing(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "jwt-secret").write_text(content)
    text = said(capsys, "token", "--role", "safety", "--data", str(folder))
    assert f"jwt-secret holds {len(content)} bytes" in text
    assert "remove it" in text
    assert (folder / "jwt-secret").read_text() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    where = str(tmp_path / "file" / "data")
    for command in (("token", "--role", "safety"), ("credentials", "list")):
        text = said(capsys, *command, "--data", where)
        assert f"cannot write in {where}" in text
        assert "choose another data folder" in text


def test_a_file_that_cannot_be_read_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "credentials" / "operator.json").unlink()
    (folder / "credentials" / "operator.json").mkdir()
    text = said(capsys, "verify", "--data", str(folder))
    assert "cannot read" in text
    assert "operator.json" in text


def test_a_missing_password_of_outside_servers_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOMNAE_NATS_URLS", "nats://127.0.0.1:1")
    monkeypatch.setenv("BOMNAE_NATS_PASSWORD_FILE", str(tmp_path / "none"))
    text = said(capsys, "verify", "--data", str(tmp_path))
    assert "none is missing" in text
    assert "BOMNAE_NATS_PASSWORD_FILE" in text


def test_a_secret_is_made_whole_or_not_at_all_and_the_first_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jwt-secret"

    def dies(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", dies)
        with pytest.raises(OSError, match="No space"):
            instance.create_atomically(path, b"first")
    assert not path.exists()
    instance.create_atomically(path, b"first")
    instance.create_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["jwt-secret"]
