"""`make setup` on machines in every state, with a Python that only tells what it was asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSIDE = """#!/bin/sh
echo "inside $*" >>"{log}"
case "$*" in *pip*) {pip};; esac
"""
OUTSIDE = """#!/bin/sh
echo "outside $*" >>"{log}"
case "$*" in
-c*) {version};;
*venv*) {venv}; rm -rf .venv; mkdir -p .venv/bin; cp inside .venv/bin/python;;
esac
"""


class Machine:
    def __init__(self, folder: Path, version: str = "exit 0", venv: str = "true") -> None:
        self.folder, self.log = folder, folder / "log"
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("requirements.lock", "pyproject.toml"):
            (folder / name).touch()
        self.script("inside", INSIDE.format(log=self.log, pip="exit 0"))
        self.script("python3", OUTSIDE.format(log=self.log, version=version, venv=venv))

    def script(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def setup(self) -> subprocess.CompletedProcess[str]:
        """`make setup` as somebody calls it, not as a part of the make that runs these tests."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment = {**ours, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return subprocess.run(
            ["make", "setup"], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    @property
    def made(self) -> int:
        return sum("venv" in line for line in self.said())

    @property
    def installed(self) -> bool:
        return any("--require-hashes" in line for line in self.said()) and (self.folder / ".venv/.installed").exists()


def test_a_fresh_machine_gets_an_environment_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for _ in range(2):
        assert machine.setup().returncode == 0
    assert machine.installed
    assert machine.made == 1


def test_an_environment_that_works_is_kept_when_the_lock_changes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.setup()
    newer = (tmp_path / ".venv/.installed").stat().st_mtime + 1
    os.utime(tmp_path / "requirements.lock", (newer, newer))
    assert machine.setup().returncode == 0
    assert machine.made == 1
    assert sum("--require-hashes" in line for line in machine.said()) == 2


@pytest.mark.parametrize("left", ["a Python without pip", "an empty folder"])
def test_what_an_interrupted_venv_left_is_made_anew(tmp_path: Path, left: str) -> None:
    machine = Machine(tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    if left == "a Python without pip":
        machine.script(".venv/bin/python", INSIDE.format(log=machine.log, pip="exit 1"))
    assert machine.setup().returncode == 0
    assert machine.installed
    assert any("venv --clear .venv" in line for line in machine.said())


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    found = Machine(tmp_path, venv="exit 1").setup()
    assert found.returncode != 0
    assert "apt install python3-venv" in found.stderr
    assert not (tmp_path / ".venv/.installed").exists()


def test_an_old_python_is_told_which_one_is_needed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, version="exit 1")
    assert "needs Python 3.11 or newer" in machine.setup().stderr
    assert machine.made == 0
