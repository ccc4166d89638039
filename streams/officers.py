"""What officers read of CASES: one consumer each, made here, for nobody outside may make one; and forgetting a case.

An officer's account reaches its consumer alone of JetStream: to pull, to acknowledge, and to ask for its state.
"""

from collections.abc import Iterable

from nats.aio.client import Client

from streams import subjects
from streams.api import JetStreamApiError, request
from streams.credentials import Listed

_NO_CONSUMER, _NO_STREAM = 10014, 10059


async def ensure_consumers(nc: Client, listed: Iterable[Listed]) -> None:
    """Make or bring up to date the consumer of each officer in `listed`, and delete those of officers that are gone.

    `nc` is a host or operator of `CITY`. Safe to repeat; without the stream there is nothing to do. A new officer hears
    of the hits since the case began, as long as CASES keeps them. Raises `UnavailableError`, or `JetStreamApiError`
    where the server refuses.
    """
    officers = {one.user: one.entities for one in listed if one.kind == "officer"}
    try:
        names = await request(nc, f"$JS.API.CONSUMER.NAMES.{subjects.CASES}")
    except JetStreamApiError as error:
        if error.code == _NO_STREAM:
            return
        raise
    for name in set(names["consumers"] or ()) - set(officers):
        if name.startswith("officer-"):
            await _delete(nc, name)
    for user, cases in officers.items():
        config = {
            "durable_name": user,
            "name": user,
            "ack_policy": "explicit",
            "filter_subjects": [subjects.case_subject(case, ">") for case in cases],
        }
        body = {"stream_name": subjects.CASES, "config": config}
        await request(nc, f"$JS.API.CONSUMER.CREATE.{subjects.CASES}.{user}", body)


async def forget_case(nc: Client, case: str) -> int:
    """Delete every hit of a case from CASES; how many there were. Safe to repeat. Raises as `ensure_consumers` does."""
    body = {"filter": subjects.case_subject(case, ">")}
    return int((await request(nc, f"$JS.API.STREAM.PURGE.{subjects.CASES}", body))["purged"])


async def _delete(nc: Client, name: str) -> None:
    try:
        await request(nc, f"$JS.API.CONSUMER.DELETE.{subjects.CASES}.{name}")
    except JetStreamApiError as error:
        if error.code != _NO_CONSUMER:
            raise
