"""The streams of a cluster, made on servers that nobody here started, with the credentials of a folder of its own."""

from pathlib import Path

import nats
import pytest

from schemas.errors import SetupError
from schemas.settings import Settings
from serve.prepare import prepare
from streams import credentials
from streams.server import EmbeddedServer


def settings(server: EmbeddedServer, data: Path, **more: int) -> Settings:
    limits = {"log_max_mb": 16, "ingest_max_mb": 16, "feed_max_mb": 16, "rejected_max_mb": 16}
    numbers = {"facility_shards": 3, "road_shards": 1, **limits, **more}
    return Settings(data=data, nats_urls=(server.url,), **numbers)


async def test_the_streams_and_the_copy_for_apps_are_made_once_and_limits_can_be_raised(
    nats_server: EmbeddedServer,
) -> None:
    for megabytes in (16, 16, 32):
        topology = await prepare(settings(nats_server, nats_server.folder, log_max_mb=megabytes))
    operator = await nats.connect(nats_server.url, **credentials.local(nats_server.folder, "operator").options())
    found = {info.config.name: info.config for info in await operator.jetstream().streams_info()}
    await operator.close()
    assert set(found) == {config["name"] for config in topology.streams()}
    assert found["LOG_FACILITY_2"].max_bytes == 32_000_000
    apps = await nats.connect(nats_server.url, **credentials.local(nats_server.folder, "feed-admin").options())
    mirror = (await apps.jetstream().stream_info("FEED")).config.mirror
    await apps.close()
    assert mirror is not None


async def test_a_city_keeps_the_number_of_shards_it_was_created_with(nats_server: EmbeddedServer) -> None:
    await prepare(settings(nats_server, nats_server.folder))
    with pytest.raises(SetupError, match="created for 3 shards"):
        await prepare(settings(nats_server, nats_server.folder, facility_shards=4))


async def test_a_folder_without_credentials_is_named(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is missing: name the folder that `bomnae credentials add` wrote to"):
        await prepare(settings(nats_server, tmp_path / "other"))


async def test_credentials_that_the_servers_do_not_know_are_refused(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    credentials.add(tmp_path / "other", "host", "ray")
    with pytest.raises(SetupError, match="does not let operator-local in"):
        await prepare(settings(nats_server, tmp_path / "other"))


async def test_without_servers_the_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="BOMNAE_NATS_URLS"):
        await prepare(Settings(data=tmp_path))
