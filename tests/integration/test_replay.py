"""Recorded real input through NATS, the shard owners and the API."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.commands.replay import faces, montreal, openlab
from tests.integration.hosted import running, settings_for
from tests.integration.test_verify import bomnae

SHARED = Path(os.environ.get("BOMNAE_SHARED", "../shared")) / "data"
BRIDGE, SNOW, FACES = SHARED / "sensors" / "openlab_bridge", SHARED / "snow", SHARED / "faces"

pytestmark = pytest.mark.skipif(not BRIDGE.is_dir(), reason=f"the recorded data is not at {SHARED}: set BOMNAE_SHARED")


async def get(port: int, path: str, **query: str) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_the_bridge_of_the_load_test_alarms_and_a_second_replay_only_counts_duplicates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        assert await openlab(settings, BRIDGE, "max", shift=False)
        first = await get(settings.http_port, "/v1/facilities/openlab-bridge")
        said = capsys.readouterr().out
        assert await openlab(settings, BRIDGE, "max", shift=False)
        again = await get(settings.http_port, "/v1/facilities/openlab-bridge")
        said_again = capsys.readouterr().out

    assert "alarm-raised: danger at openlab-bridge" in said
    assert "CC BY-SA 4.0" in said
    laser = next(one for one in first["sensors"] if one["sensor"] == "openlab-laser-4")
    assert laser["bad"] > 0
    assert laser["time"].startswith("2025-05-06")
    assert "no event, nothing has changed" in said_again
    for before, after in zip(first["sensors"], again["sensors"], strict=True):
        assert after["count"] == before["count"]
        assert after["mean"] == before["mean"]
        assert after["duplicates"] == before["duplicates"] + before["count"] + before["bad"]
    assert [one["alarm"] for one in again["alarms"]] == [one["alarm"] for one in first["alarms"]]


async def test_times_that_are_shifted_to_now_count_as_another_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await openlab(settings, BRIDGE, "max", shift=False)
        before = await get(settings.http_port, "/v1/facilities/openlab-bridge")
        assert await openlab(settings, BRIDGE, "max", shift=True)
        after = await get(settings.http_port, "/v1/facilities/openlab-bridge")

    for one, other in zip(before["sensors"], after["sensors"], strict=True):
        assert other["count"] == 2 * one["count"]
        assert other["duplicates"] == 0
        assert other["time"] > "2026"


async def test_recorded_times_after_shifted_ones_are_rejected_and_the_replay_says_so_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        assert await openlab(settings, BRIDGE, "max", shift=True)
        before = await get(settings.http_port, "/v1/facilities/openlab-bridge")
        assert capsys.readouterr().err == ""
        code, _, err = await bomnae(settings, "replay", "openlab", "--from", str(BRIDGE))
        after = await get(settings.http_port, "/v1/facilities/openlab-bridge")

    assert code == 1
    sent = sum(one["count"] + one["bad"] for one in before["sensors"])
    assert f"{sent:,} of {sent:,} readings do not count" in err
    assert "5000 of 5000 readings for openlab-bridge come from a boot that" in err
    assert "replay with --shift, or into another --data" in err
    assert "Traceback" not in err
    assert after["sensors"] == before["sensors"]


async def test_montreals_polls_become_clearing_states_and_a_second_replay_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        await montreal(settings, SNOW, "max", shift=False)
        first = await get(settings.http_port, "/v1/roads")
        said = capsys.readouterr().out
        await montreal(settings, SNOW, "max", shift=False)
        again = await get(settings.http_port, "/v1/roads")
        said_again = capsys.readouterr().out

    assert "clearing-changed" in said
    assert "no event, nothing has changed" in said_again
    assert len(first["features"]) > 1000
    assert first == again


async def test_the_faces_are_sightings_of_synthetic_cameras_and_a_second_replay_adds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings_for(tmp_path / "data")) as settings:
        for hold_out in (1, 1, 0, 0):
            await faces(settings, FACES, hold_out, None)
    said = capsys.readouterr().out.splitlines()

    assert [one for one in said if "counted" in one] == [
        "180 sightings sent, 180 counted; model face-gallery-128",
        "180 sightings sent, 0 counted; model face-gallery-128",
        "200 sightings sent, 20 counted; model face-gallery-128",
        "200 sightings sent, 0 counted; model face-gallery-128",
    ]
    assert [one for one in said if "registered" in one] == [
        f"registered: {count} events new" for count in (12, 0, 0, 0)
    ]
    assert sum("synthetic" in one for one in said) == 4
