"""`bomnae simulate` beside the running feeder and without one; incidents shortened to seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.packs.load import load_pack
from schemas.packs.pack import Pack
from schemas.settings import Settings
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.simulate import simulate
from streams.connection import access_of
from streams.connectors import incidents
from streams.connectors.feeder import run_sensors
from streams.connectors.incidents import INCIDENTS, Step
from tests.integration.hosted import running, settings_for

MARKET = "seobu-market"
SMOKE = f"{MARKET}-smoke-1"


def short_fire(pack: Pack, begin: datetime) -> list[Step]:
    return [Step(0.5, {SMOKE: 30.0}), Step(7.5)]


def short_excavation(pack: Pack, begin: datetime) -> list[Step]:
    permit, start, _ = incidents.excavation(pack, begin)
    return [permit, Step(1, commands=start.commands)]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INCIDENTS, "market-fire", short_fire)
    monkeypatch.setitem(INCIDENTS, "excavation", short_excavation)


@asynccontextmanager
async def sensors_of(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_sensors(access_of(settings), settings, stop))
    await asyncio.sleep(2.5)
    try:
        yield
    finally:
        stop.set()
        await task


async def register_pack(api: Api) -> None:
    pack = load_pack("chuncheon")
    wanted = {MARKET, pack.roads[0].id}
    await api.send(calls(one for one in pack.commands(datetime.now(UTC), "pack") if one.entity in wanted))


async def test_a_fire_is_played_by_the_running_sensors_under_their_own_boot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        await register_pack(api)
        async with sensors_of(settings):
            before = await api.get(f"/v1/facilities/{MARKET}")
            await simulate(settings, "market-fire")
        after = await api.get(f"/v1/facilities/{MARKET}")
    said = capsys.readouterr()
    assert f"alarm-raised: danger at {MARKET}, {SMOKE}: 30 %/m, limit 15 (synthetic)" in said.out
    lines = [line for line in said.out.splitlines() if "Z  " in line]
    assert {line.split("Z  ")[1].split(":")[0] for line in lines} >= {"alarm-raised", "risk-level-changed"}
    assert all(line.endswith("(synthetic)") for line in lines)
    assert "no simulated sensors run here" not in said.err
    boots = {one["boot"] for one in (*before["sensors"], *after["sensors"])}
    assert len(boots) == 1, "a second publisher spoke"
    assert all(one["gaps"] == 0 and one["duplicates"] == 0 for one in after["sensors"])


async def test_without_running_sensors_the_command_sends_them_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        await register_pack(api)
        await simulate(settings, "market-fire")
    said = capsys.readouterr()
    assert f"alarm-raised: danger at {MARKET}, {SMOKE}" in said.out
    assert "no simulated sensors run here" in said.err


async def test_an_excavation_closes_its_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(settings_for(tmp_path / "data")) as settings, Api(settings, "test") as api:
        await register_pack(api)
        await simulate(settings, "excavation")
        (work,) = (await api.get("/v1/works"))["items"]
    assert "segment-status-changed from open to closed" in capsys.readouterr().out
    assert (work["state"], work["synthetic"]) == ("started", True)
