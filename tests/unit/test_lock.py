"""The lock: pinned, hashed, without addresses, and whole on every Python that is promised. All of it offline.

What a package asks for is read from those installed here, where they are of the version that the lock names for the
Python in question; whether there is a wheel for it only an installation can tell.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRIES = [entry for entry in re.split(r"\n(?=\S)", re.sub(r"\n *#.*", "", "\n" + TEXT)) if entry.strip()]
LOCKED = [Requirement(entry.partition("\\")[0]) for entry in ENTRIES]
PYTHONS = ("3.11", "3.12", "3.13")


def environment(python: str) -> dict[str, str]:
    found = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return found | linux | {"python_version": python, "python_full_version": f"{python}.1"}


def applies(requirement: Requirement, python: str, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate(environment(python) | {"extra": extra}) for extra in extras or {""})


def pins(python: str) -> dict[str, str]:
    chosen = [one for one in LOCKED if applies(one, python, set())]
    names = [canonicalize_name(one.name) for one in chosen]
    assert len(names) == len(set(names)), f"two versions of a package on Python {python}"
    return {name: str(one.specifier).removeprefix("==") for name, one in zip(names, chosen, strict=True)}


def asked_by(name: str, extras: set[str], python: str) -> list[Requirement]:
    """What the installed package asks for on another Python too."""
    declared = distribution(name).requires or []
    return [one for one in map(Requirement, declared) if applies(one, python, extras)]


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def test_the_lock_names_no_address_and_takes_no_option() -> None:
    assert "://" not in TEXT
    assert " @ " not in TEXT
    assert re.findall(r"(?m)^\s*(-\S+?)[=\s]", TEXT.replace("--hash=sha256:", "")) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.split("=")[0])
def test_every_package_is_pinned_and_hashed(entry: str) -> None:
    (pin,) = Requirement(entry.partition("\\")[0]).specifier
    assert pin.operator == "=="
    assert "*" not in pin.version
    assert re.fullmatch(r"[^\\]+( \\\n +--hash=sha256:[0-9a-f]{64})+\s*", entry)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_what_the_project_and_its_packages_ask_for(python: str) -> None:
    assert python in SpecifierSet(PROJECT["project"]["requires-python"])
    pinned, seen = pins(python), set()
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    waiting = [one for group in groups for one in map(Requirement, group) if applies(one, python, set())]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        assert name in pinned, f"{asked} is not in the lock on Python {python}"
        assert asked.specifier.contains(pinned[name], prereleases=True), f"{asked}, but {pinned[name]} is locked"
        if (name, *sorted(asked.extras)) not in seen and installed(name) == pinned[name]:
            waiting += asked_by(name, asked.extras, python)
        seen.add((name, *sorted(asked.extras)))
    assert {name for name, *_ in seen} == set(pinned), "the lock holds what nobody asks for"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_locked_package_takes_this_python(python: str) -> None:
    ours = [name for name, pin in pins(python).items() if installed(name) == pin]
    assert len(ours) > 100, "run where the lock is installed"
    wanted = {name: distribution(name).metadata.get("Requires-Python") for name in ours}
    assert [name for name, said in wanted.items() if said and f"{python}.1" not in SpecifierSet(said)] == []
