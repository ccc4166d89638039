"""`bomnae simulate`: play an incident over the simulated city and show what the city says about it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson

from schemas.base import Command
from schemas.errors import InvalidError, SetupError
from schemas.packs.load import load_pack
from schemas.packs.pack import Pack
from schemas.road import SetClearing
from schemas.settings import Settings
from serve.commands.calls import calls
from serve.commands.client import Api
from serve.commands.heard import Heard
from serve.commands.instance import connected, shards_of
from serve.commands.terminal import err, out, progress
from streams import codec, subjects
from streams.connection import Connection
from streams.connectors.feeder import PLAY, PLAYING, Feeder, length
from streams.connectors.incidents import BY, INCIDENTS, Step, due
from streams.live import Said, hear

_ANSWER_S = 2.0
_STEP_S = 0.5
_AFTER_S = 3.0
"""How long events may follow the last step: delays of the limits, and the way to here."""


async def simulate(settings: Settings, incident: str) -> None:
    """Play it to its end. Readings are lifted by the running feeder, commands go over HTTP, clearing over NATS.

    Raises `InvalidError` for an incident that does not exist, `SetupError` where the feeder cannot play it,
    `UnavailableError` where the city does not answer.
    """
    if incident not in INCIDENTS:
        raise InvalidError(f"there is no incident {incident!r}: choose among {', '.join(INCIDENTS)}")
    pack = load_pack(settings.pack)
    async with connected(settings, "simulate") as connection, Api(settings, BY) as api:
        shards = (await shards_of(connection, settings))["facility"]
        heard = Heard()
        for context in ("facility", "road"):
            await heard.listen(connection, context)
        async with _begun(connection, pack, shards, incident) as begin:
            out.print(f"{incident} begins; everything in it is synthetic", markup=False)
            await _play(INCIDENTS[incident](pack, begin), begin, connection, api, heard)
    told = ", ".join(f"{count} {name}" for name, count in heard.counts.most_common())
    out.print(f"{incident} is over; heard: {told or 'no event'}", markup=False)


@asynccontextmanager
async def _begun(connection: Connection, pack: Pack, shards: int, incident: str) -> AsyncIterator[datetime]:
    """Have the running feeder play, or be the feeder meanwhile; the moment at which the incident begins."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_playing(said: Said) -> None:
        if not answer.done():
            answer.set_result(said.data)

    stop_hearing = await hear(connection.nc, PLAYING, on_playing)
    await connection.nc.publish(PLAY, orjson.dumps({"incident": incident}))
    try:
        async with asyncio.timeout(_ANSWER_S):
            said = orjson.loads(await answer)
    except TimeoutError:
        err.print("no simulated sensors run here: sending them for the length of the incident")
        said = None
    await stop_hearing()
    if said is not None:
        if "error" in said:
            raise SetupError(f"the simulated sensors say that {incident} {said['error']}")
        yield datetime.fromisoformat(said["begin"])
        return
    begin, stop = datetime.now(UTC), asyncio.Event()
    feeder = Feeder(connection, pack, shards, int(begin.timestamp()))
    feeder.play(incident, begin)
    running = asyncio.create_task(feeder.run(stop))
    try:
        yield begin
    finally:
        stop.set()
        await running


async def _play(steps: Sequence[Step], begin: datetime, connection: Connection, api: Api, heard: Heard) -> None:
    total = length(steps).total_seconds() + _AFTER_S
    done = -1.0
    with progress() as bars:
        bar = bars.add_task("playing, seconds", total=round(total))
        while done < total:
            elapsed = (datetime.now(UTC) - begin).total_seconds()
            await _send(due(steps, done, elapsed), connection, api)
            done = elapsed
            bars.update(bar, completed=min(round(elapsed), round(total)))
            for line in heard.tell():
                out.print(f"{datetime.now(UTC):%H:%M:%S}Z  {line}", markup=False)
            await asyncio.sleep(_STEP_S)


async def _send(commands: Sequence[Command], connection: Connection, api: Api) -> None:
    await api.send(calls(one for one in commands if not isinstance(one, SetClearing)))
    reports: dict[str, list[SetClearing]] = {}
    for one in commands:
        if isinstance(one, SetClearing):
            reports.setdefault(one.road, []).append(one)
    # A road's clearing is what a fleet's feed would report: one message a road instead of one request a segment.
    headers = {codec.CONTENT_TYPE: codec.JSON}
    await asyncio.gather(
        *(
            connection.observe(subjects.raw("road", road, subjects.CLEARING), headers, clearing_rows(rows))
            for road, rows in reports.items()
        )
    )


def clearing_rows(commands: Sequence[SetClearing]) -> bytes:
    """The payload of a road's clearing feed for these commands, all of one road. Pure."""
    return orjson.dumps([one.model_dump(mode="json", exclude={"at", "by", "road"}) for one in commands])
