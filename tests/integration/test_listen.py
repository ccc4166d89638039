"""`bomnae listen` as a script sees it: events a line each, a count, Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path

import orjson
import pytest

from schemas.settings import Settings
from serve.cli import main
from serve.commands.calls import Call
from serve.commands.client import Api
from tests.integration.hosted import running, settings_for

BRIDGE = {"name_ko": "시험교", "name_en": "Test Bridge", "kind": "bridge", "grade": "C"}


class Listening:
    """The command in a process of its own."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        code = "import sys; from serve.cli import main; main(sys.argv[1:])"
        self._command = [sys.executable, "-c", code, "listen", *arguments, "--data", str(settings.data)]

    async def __aenter__(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=pipe, stderr=pipe)
        assert self._process.stderr is not None
        assert b"listening" in await self._process.stderr.readline()
        return self._process

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def register(api: Api, facility: str, synthetic: bool) -> None:
    await api.ask(Call("PUT", f"/v1/facilities/{facility}", {**BRIDGE, "synthetic": synthetic}))


async def test_events_are_told_a_line_each_with_their_label_until_the_count_is_reached(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        await register(api, "before", False)
        await asyncio.sleep(0.5)
        async with Listening(settings, "--count", "2") as process:
            await register(api, "real", False)
            await register(api, "toy", True)
            told, _ = await asyncio.wait_for(process.communicate(), 20)
            assert process.returncode == 0
    lines = sorted(line.split("  ", 2)[1] for line in told.decode().splitlines())
    event = "facility-registered"
    assert lines == [f"city.pub.facility.real.{event}", f"city.pub.facility.toy.{event} (synthetic)"]


async def test_as_json_each_line_is_a_cloud_event_and_a_subject_narrows(tmp_path: Path) -> None:
    async with (
        running(settings_for(tmp_path / "data")) as settings,
        Api(settings, "test") as api,
        Listening(settings, "city.staff.facility.toy.*", "--json", "--count", "1") as process,
    ):
        await register(api, "real", False)
        await register(api, "toy", True)
        told, _ = await asyncio.wait_for(process.communicate(), 20)
    (event,) = map(orjson.loads, told.splitlines())
    assert (event["specversion"], event["subject"], event["synthetic"]) == ("1.0", "toy", True)
    assert event["data"]["facts"]["name_ko"] == "시험교"


async def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Listening(settings) as process:
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 130
        assert said == b""


@pytest.mark.parametrize("subject", ["city.>", "city.log.>", "city.pub", "city.pub..x", "$JS.API.>", "city.pub.>.x"])
def test_what_is_not_of_the_feed_is_refused(subject: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["listen", subject, "--data", str(tmp_path)])
    assert left.value.code == 2
    assert "is no subject of the feed" in capsys.readouterr().err
