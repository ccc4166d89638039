"""The AsyncAPI document under the parser of the AsyncAPI project."""

import json
import shutil
import subprocess
from pathlib import Path

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


@pytest.fixture(scope="module")
def parser() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm is not installed, and the AsyncAPI parser comes from there")
    if not (TOOLS / "node_modules" / "@asyncapi" / "parser").is_dir():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=TOOLS, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm could not install the AsyncAPI parser: {done.stderr.strip()[-300:]}")
    return TOOLS


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
