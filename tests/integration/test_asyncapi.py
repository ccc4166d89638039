"""The AsyncAPI document under the parser of the AsyncAPI project."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from streams.asyncapi import document

TOOLS = Path(__file__).parents[1] / "tools"
PARSE = """
const { Parser } = require("@asyncapi/parser");
new Parser().parse(require("fs").readFileSync(0, "utf8")).then(({ document, diagnostics }) => {
  const found = diagnostics.filter(one => one.severity <= 1).map(one => `${one.path.join(".")}: ${one.message}`);
  console.log(JSON.stringify({ found, version: document && document.version() }));
});
"""


def installed(tools: Path) -> Path:
    """The folder with the parser in it, installed where it is not. Without npm: a skip, where CI is set a failure."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        do_without("npm is not installed, and the AsyncAPI parser comes from there")
    if not (tools / "node_modules" / "@asyncapi" / "parser").is_dir():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=tools, capture_output=True, text=True, check=False)
        if done.returncode:
            do_without(f"npm could not install the AsyncAPI parser: {done.stderr.strip()[-300:]}")
    return tools


def do_without(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason}; CI must not pass without it")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def parser() -> Path:
    return installed(TOOLS)


def parse(parser: Path, text: str) -> dict[str, object]:
    done = subprocess.run(
        ["node", "-e", PARSE], cwd=parser, input=text, capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_document_is_valid_without_a_warning(parser: Path) -> None:
    servers = {"nats": "nats://127.0.0.1:4222", "websocket": "ws://127.0.0.1:9222", "mqtt": "mqtt://127.0.0.1:1883"}
    assert parse(parser, json.dumps(document(servers))) == {"found": [], "version": "3.0.0"}
    assert parse(parser, json.dumps(document())) == {"found": [], "version": "3.0.0"}


def test_the_parser_finds_what_is_wrong(parser: Path) -> None:
    broken = document()
    broken["operations"]["receiveReadings"]["action"] = "shout"
    assert parse(parser, json.dumps(broken))["found"]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize("npm", ["none", "failing"])
def test_without_npm_it_is_skipped_with_the_reason_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException], npm: str
) -> None:
    for name in ("npm", "node") if npm == "failing" else ():
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="is not installed" if npm == "none" else "could not install"):
        installed(tmp_path)
