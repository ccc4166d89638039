"""What import-linter cannot see: clocks and the environment by name, and who owns our names among what is installed."""

import ast
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "streams", "actors", "serve")
FILES = {path.relative_to(ROOT).as_posix(): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.putenv", "environ", "getenv"}
CLOCKS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "datetime.datetime.now",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.localtime",
    "time.gmtime",
}
MAY_READ_THE_ENVIRONMENT = {
    # Keys of providers (`BOMNAE_KEY_<NAME>`), whose names datasets say: no model can list them.
    "schemas/settings.py",
    # Hands its own environment on to the processes that it starts, with the settings in it.
    "serve/node.py",
}
MAY_READ_A_CLOCK = {
    # `wall_clock` is the one clock of a shard owner, handed to everything below it as an argument.
    "actors/host.py",
}


def named(path: Path) -> Iterator[str]:
    """The dotted names and imported names in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(*packages: str) -> list[str]:
    return sorted(name for name in FILES if name.split("/")[0] in packages)


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_environment_is_read_in_the_settings_alone(name: str) -> None:
    found = ENVIRONMENT & set(named(FILES[name]))
    assert not found or name in MAY_READ_THE_ENVIRONMENT, f"{name} uses {found}: make it a setting"


@pytest.mark.parametrize("name", below("schemas", "actors"))
def test_no_clock_is_read_below_the_edge(name: str) -> None:
    found = CLOCKS & set(named(FILES[name]))
    assert not found or name in MAY_READ_A_CLOCK, f"{name} uses {found}: take the time as an argument"


def test_the_exceptions_are_still_needed() -> None:
    assert all(ENVIRONMENT & set(named(FILES[name])) for name in MAY_READ_THE_ENVIRONMENT)
    assert all(CLOCKS & set(named(FILES[name])) for name in MAY_READ_A_CLOCK)


@pytest.mark.parametrize("text", ["import os\nos.environ['X']", "from os import environ", "import os\nos.getenv('X')"])
def test_a_file_that_reads_the_environment_is_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(text)
    assert ENVIRONMENT & set(named(path))


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_else_that_is_installed_owns_our_package_names(package: str) -> None:
    assert set(packages_distributions().get(package, ["bomnae"])) == {"bomnae"}


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_are_those_of_this_checkout(package: str) -> None:
    module = __import__(package)
    assert Path(module.__file__ or "").parent == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_in_a_sentence_what_lives_there(package: str) -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf8")))
    ]
    assert not silent
