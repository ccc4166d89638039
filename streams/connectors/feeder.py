"""The simulated city, sent: `python -m streams.connectors.feeder` publishes a pack's synthetic readings each second.

One publisher at a time speaks for a sensor, because its sequence counts them all. So `bomnae simulate` does not send
readings of its own: it says `city.simulator.play` with the incident's name, the feeder answers on
`city.simulator.playing` with the moment it begins, and lifts the sensors concerned from then on. Only where no feeder
answers does the command run one for the length of the incident. The boot number is the second of the start, so
whoever started last counts.
"""

import asyncio
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pyarrow as pa
from nats.aio.msg import Msg

from schemas.errors import BomnaeError
from schemas.packs.load import load_pack
from schemas.packs.pack import Pack
from schemas.settings import Settings
from streams import codec, logs
from streams.connection import Access, Connection, access_of
from streams.connectors.incidents import INCIDENTS, Step, held
from streams.connectors.simulator import SimulatedCity

logger = logging.getLogger(__name__)

PLAY, PLAYING = "city.simulator.play", "city.simulator.playing"
"""Where an incident is asked for, and where its begin is told: `{"incident"}`, `{"incident", "begin"}` or `error`."""

PERIOD_S = 1.0
SEED = 0


class Feeder:
    """Sends the readings of a pack, and plays incidents over them. `run` until `stop`; one task at a time."""

    def __init__(self, connection: Connection, pack: Pack, shards: int, boot: int) -> None:
        self._connection, self._pack = connection, pack
        self._city = SimulatedCity(pack, SEED, boot, shards=shards if pack.head.gateway else None)
        self._playing: list[tuple[datetime, Sequence[Step]]] = []
        self._failing = False

    def play(self, incident: str, begin: datetime) -> Sequence[Step]:
        """Lift the readings that an incident names, from `begin` on. Raises `KeyError` for an incident unknown."""
        steps = INCIDENTS[incident](self._pack, begin)
        self._playing.append((begin, steps))
        return steps

    def at_least(self, now: datetime) -> Mapping[str, float]:
        """The least values at a moment: of incidents that meet at a sensor, the greater. Forgets what is over."""
        self._playing = [(begin, steps) for begin, steps in self._playing if now <= begin + length(steps)]
        least: dict[str, float] = {}
        for begin, steps in self._playing:
            for sensor, value in held(steps, (now - begin).total_seconds()).items():
                least[sensor] = max(value, least.get(sensor, value))
        return least

    async def send(self, at: datetime) -> None:
        """Publish the second that ends at `at`. What NATS does not take is lost, and shows as a gap of the sensors."""
        batches = self._city.batches(at, PERIOD_S, at_least=self.at_least(at))
        sent = (
            self._connection.observe(subject, {codec.CONTENT_TYPE: codec.ARROW}, to_stream(batch))
            for subject, batch in batches.items()
        )
        failed = [one for one in await asyncio.gather(*sent, return_exceptions=True) if isinstance(one, BaseException)]
        for error in failed:
            if not isinstance(error, BomnaeError):
                raise error
        if failed and not self._failing:
            logger.warning("readings are lost: %s", failed[0])
        self._failing = bool(failed)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish at each full second until `stop`. After a pause of the machine it goes on with the present."""
        while not stop.is_set():
            now = datetime.now(UTC)
            at = now.replace(microsecond=0) + timedelta(seconds=PERIOD_S)
            try:
                async with asyncio.timeout((at - now).total_seconds()):
                    await stop.wait()
            except TimeoutError:
                await self.send(at)


def length(steps: Sequence[Step]) -> timedelta:
    """How long an incident takes."""
    return timedelta(seconds=max((step.offset_s for step in steps), default=0.0))


def to_stream(batch: pa.RecordBatch) -> bytes:
    """An Arrow IPC stream of one batch."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


async def run_sensors(access: Access, settings: Settings, stop: asyncio.Event) -> None:
    """Send the simulated sensors of the settings' pack, and play the incidents that are asked for, until `stop`."""
    connection = await Connection.open(access, "simulator")
    try:
        boot = int(datetime.now(UTC).timestamp())
        feeder = Feeder(connection, load_pack(settings.pack), settings.facility_shards, boot)

        async def on_play(msg: Msg) -> None:
            await connection.nc.publish(PLAYING, _answer(feeder, msg.data))

        await connection.nc.subscribe(PLAY, cb=on_play)
        await feeder.run(stop)
    finally:
        await connection.close()


def _answer(feeder: Feeder, asked: bytes) -> bytes:
    try:
        incident, begin = str(orjson.loads(asked)["incident"]), datetime.now(UTC)
        feeder.play(incident, begin)
    except (ValueError, TypeError, KeyError, BomnaeError) as error:
        return orjson.dumps({"error": f"cannot be played: {error}"})
    return orjson.dumps({"incident": incident, "begin": begin})


async def _main() -> None:
    settings, stop, loop = Settings(), asyncio.Event(), asyncio.get_running_loop()
    logs.configure(settings.log_level)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        threading.Thread(target=_until_alone, args=(loop, stop), daemon=True).start()
    await run_sensors(access_of(settings), settings, stop)


def _until_alone(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The pipe ends when whoever started us is gone: a feeder that stayed would speak beside its successor."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    asyncio.run(_main())
