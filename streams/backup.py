"""Backup and restore of all streams of a city, by JetStream's own snapshots, and of its erasable objects.

Every message keeps its sequence and time.

**Order.** The streams are copied one after the other while the city runs, so a later copy is newer. What refers comes
before what it refers to: snapshots of shards (they name a sequence of LOG), FEED and CASES (their events stand in
LOG), LOG (its commits name ranges of INGEST), REJECTED, and INGEST last. So each snapshot finds its commit and each
commit its input; input that came after the copy of LOG is folded again by the owners. A copy of LOG may end in the
middle of a batch, which every reader skips (`streams.log.read_batches`).

**Objects** are copied after LOG, which refers to them, and before INGEST, whose sightings are erased once they are
committed. So a backup holds every object of its log but those that were erased while it was taken, and none that was
erased before; what it holds beyond its log, `actors.orphans` erases after a restore. Sightings that were committed
between the copies of LOG and INGEST are in neither. Nobody can erase from a backup that lies elsewhere: whoever keeps
it destroys it when its time is over.

**Not in it:** consumers (owners make their own; an app makes its own again at the position that it kept), the apps'
mirror of FEED (`streams.topology.ensure_streams` makes it again), credentials and secrets, and snapshots that lie
outside NATS (`BOMNAE_SNAPSHOT_URL`).
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from schemas.errors import SetupError, UnavailableError
from streams import backup_objects, instance
from streams.api import JetStreamApiError, answered, request, when_settled
from streams.backup_objects import Kept
from streams.blobs import ListedBlobs
from streams.subjects import ERASED_INPUT, ingest_stream

FORMAT = 1
MANIFEST = "manifest.json"
"""Written last: a folder without it is no backup."""

Progress = Callable[[str, int, int], None]
"""Stream, bytes done, bytes expected; an estimate while a backup runs, equal when the stream is finished."""

_ORDER = ("OBJ_", "FEED", "CASES", "LOG_", "REJECTED", "INGEST_")
_NOT_FOUND = 10059
_CHUNK = 512 * 1024
_STALL_S = 60.0
"""Longest silence of the server in between; it may be sorting out gigabytes."""
_FINISH_S = 600.0
"""Longest wait for the last answer of a restore: the server reads the whole stream once more."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One stream of a backup: its file, and configuration and state as JetStream names them."""

    name: str
    file: str
    size: int
    sha256: str
    config: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, in the order in which it was taken."""

    streams: tuple[Saved, ...]
    bomnae: str
    format: int = FORMAT
    objects: tuple[Kept, ...] = ()


async def backup(
    nc: Client, folder: Path, progress: Progress = lambda *_: None, objects: ListedBlobs | None = None
) -> Manifest:
    """Copy all streams of the account of `nc`, an operator, and the objects, into a new folder; the city may run.

    Raises `SetupError` where the folder holds something or the city has no streams, `UnavailableError` where the
    server falls silent (the folder is then no backup: it has no manifest), `OSError` where the disk is full.
    """
    await asyncio.to_thread(_claim, folder)
    names = sorted(await _names(nc), key=_rank)
    if not names:
        raise SetupError("there is nothing to back up: the city has no streams")
    saved: list[Saved] = []
    kept: tuple[Kept, ...] = ()
    for name in names:
        if name.startswith("INGEST_") and objects is not None and not kept:
            kept = await backup_objects.save(objects, folder, progress)
        saved.append(await _save(nc, name, folder, progress))
    manifest = Manifest(tuple(saved), version("bomnae"), objects=kept)
    data = orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
    await asyncio.to_thread(instance.write_atomically, folder / MANIFEST, data)
    return manifest


async def restore(
    nc: Client,
    folder: Path,
    progress: Progress = lambda *_: None,
    replicas: int | None = None,
    objects: ListedBlobs | None = None,
) -> Manifest:
    """Bring a backup into a city without streams; call `ensure_streams` and start the owners afterwards.

    Everything is checked before anything is written, and after a failure the streams restored so far are removed again.
    `replicas`: copies of each stream on the new servers, where it shall be another number than before. Raises
    `SetupError` for a damaged or foreign backup, a city that has streams, and where the server refuses;
    `UnavailableError` where it falls silent.
    """
    manifest = await asyncio.to_thread(read_manifest, folder)
    if taken := sorted(await _names(nc)):
        raise SetupError(
            f"the city has {len(taken)} streams already, {taken[0]} among them: restore into an empty data folder or "
            "onto servers without the city's streams"
        )
    if manifest.objects and objects is None:
        raise SetupError(f"{folder} holds {len(manifest.objects)} objects: say where they shall lie")
    if objects is not None:
        await backup_objects.load(objects, folder, manifest.objects)
    done: list[str] = []
    try:
        for saved in manifest.streams:
            done.append(saved.name)
            await _load(nc, saved, folder, replicas, progress)
    except (JetStreamApiError, SetupError, UnavailableError) as error:
        left = [name for name in done if not await _removed(nc, name)]
        if objects is not None:
            await backup_objects.remove(objects, manifest.objects)
        tail = f"; remove {', '.join(left)} before trying again" if left else ""
        raise SetupError(f"restoring {done[-1]} failed: {error}{tail}") from error
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup whose files are all present and intact. Raises `SetupError` for any other folder."""
    path = folder / MANIFEST
    if not path.is_file():
        raise SetupError(f"{folder} is no complete backup: it has no {MANIFEST}")
    try:
        fields = orjson.loads(path.read_bytes())
        if fields["format"] != FORMAT:
            raise SetupError(
                f"{path} has format {fields['format']}, this program reads {FORMAT}: use the program that made it"
            )
        kept = tuple(Kept(**one) for one in fields.get("objects", []))
        manifest = Manifest(tuple(Saved(**one) for one in fields["streams"]), fields["bomnae"], objects=kept)
    except (ValueError, TypeError, KeyError) as error:
        raise SetupError(f"{path} is damaged ({error}): use another backup") from error
    for saved in manifest.streams:
        _check(folder / saved.file, saved)
    backup_objects.check(folder, manifest.objects)
    return manifest


def _check(path: Path, saved: Saved) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): use another backup") from error
    if found != saved.sha256:
        raise SetupError(f"{path} is damaged: its SHA-256 is not what {MANIFEST} says; use another backup")


def _claim(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise SetupError(f"{folder} is not empty: name a new folder for each backup")


def _rank(name: str) -> tuple[int, str]:
    # An unknown stream goes first, like everything that may refer to the log.
    return next((n for n, prefix in enumerate(_ORDER) if name.startswith(prefix)), 0), name


async def _names(nc: Client) -> list[str]:
    names: list[str] = []
    while True:
        page = await request(nc, "$JS.API.STREAM.NAMES", {"offset": len(names)})
        names += page["streams"] or []
        if not page["streams"] or len(names) >= page["total"]:
            return names


async def _save(nc: Client, name: str, folder: Path, progress: Progress) -> Saved:
    file = f"{name}.tar.s2"
    inbox, digest, size = nc.new_inbox(), hashlib.sha256(), 0
    subscription = await nc.subscribe(inbox)
    out = await asyncio.to_thread((folder / file).open, "wb")
    try:
        asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK}
        answer = await request(nc, f"$JS.API.STREAM.SNAPSHOT.{name}", asked, _STALL_S)
        while (chunk := await _next(subscription, name)).data:
            await asyncio.to_thread(_write, out, digest, chunk.data)
            if chunk.reply:
                # The server keeps a window of chunks under way; each acknowledgement lets it send more.
                await nc.publish(chunk.reply)
            size += len(chunk.data)
            progress(name, size, max(size, answer["state"]["bytes"]))
        await asyncio.to_thread(os.fsync, out.fileno())
    finally:
        await asyncio.to_thread(out.close)
        await subscription.unsubscribe()
    progress(name, size, size)
    return Saved(name, file, size, digest.hexdigest(), answer["config"], answer["state"])


async def _next(subscription: Subscription, name: str) -> Msg:
    try:
        msg = await subscription.next_msg(timeout=_STALL_S)
    except (TimeoutError, NatsError) as error:
        raise UnavailableError(f"the server stopped sending {name} within its snapshot: {error!r}") from error
    # A snapshot that breaks off ends like a whole one, but for the status.
    if not msg.data and (status := (msg.headers or {}).get("Status", "204")) != "204":
        raise UnavailableError(f"the server broke off the snapshot of {name}: status {status}")
    return msg


def _write(out: IO[bytes], digest: "hashlib._Hash", data: bytes) -> None:
    out.write(data)
    digest.update(data)


async def _load(nc: Client, saved: Saved, folder: Path, replicas: int | None, progress: Progress) -> None:
    copied = replicas and saved.name not in map(ingest_stream, ERASED_INPUT)
    config = saved.config | ({"num_replicas": replicas} if copied else {})
    asked = {"config": config, "state": saved.state}
    answer = await _send(nc, f"$JS.API.STREAM.RESTORE.{saved.name}", orjson.dumps(asked), _STALL_S)
    size = 0
    with (folder / saved.file).open("rb") as source:
        while chunk := await asyncio.to_thread(source.read, _CHUNK):
            await _send(nc, answer["deliver_subject"], chunk, _STALL_S)
            size += len(chunk)
            progress(saved.name, size, saved.size)
    found = (await _send(nc, answer["deliver_subject"], b"", _FINISH_S))["state"]
    keys = ("messages", "first_seq", "last_seq")
    if any(found[key] < saved.state[key] for key in keys):
        got, told = ({key: state[key] for key in keys} for state in (found, saved.state))
        raise SetupError(f"the server restored {got} of {told}")
    await _copied(nc, saved.name)


async def _copied(nc: Client, name: str) -> None:
    """Returns when a majority of servers has the stream: a restore reaches one of them, the others copy from it."""
    deadline = time.monotonic() + _FINISH_S
    while time.monotonic() < deadline:
        replicas = (await request(nc, f"$JS.API.STREAM.INFO.{name}")).get("cluster", {}).get("replicas", [])
        if 2 * sum(replica["current"] for replica in replicas) >= len(replicas):
            return
        await asyncio.sleep(0.2)
    raise UnavailableError(f"the servers did not copy {name} from each other within {_FINISH_S:.0f} s")


async def _send(nc: Client, subject: str, data: bytes, timeout_s: float) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        return answered(subject, (await nc.request(subject, data, timeout=timeout_s)).data)

    try:
        return await when_settled(ask)
    except NoRespondersError as error:
        raise UnavailableError(f"nobody takes the backup: {error!r}") from error
    except (TimeoutError, NatsError, OSError) as error:
        raise UnavailableError(f"the server stopped taking the backup: {error!r}") from error


async def _removed(nc: Client, name: str) -> bool:
    try:
        await request(nc, f"$JS.API.STREAM.DELETE.{name}")
    except JetStreamApiError as error:
        return error.code == _NOT_FOUND
    except UnavailableError:
        return False
    return True
