"""`bomnae listen`: events of the feed as they happen, a line each."""

import re
from contextlib import aclosing

import typer

from schemas.errors import InvalidError
from schemas.settings import Settings
from serve.commands.instance import connected
from serve.commands.terminal import err
from streams import codec, live
from streams.live import Said

_SUBJECT = re.compile(r"city\.(pub|staff)(\.(\*|[a-z0-9_-]+))*(\.>|\.\*|\.[a-z0-9_-]+)")


async def listen(settings: Settings, subject: str, count: int, json: bool) -> None:
    """Print what is said on a subject of the feed from now on, until `count` events (0: for ever).

    Raises `InvalidError` for a subject that is not of the feed, and what `connected` raises.
    """
    if not _SUBJECT.fullmatch(subject):
        raise InvalidError(f"{subject!r} is no subject of the feed: take city.pub.> or one like city.pub.road.*.*")
    async with connected(settings, "listen") as connection:
        # A reader of the stream instead of a bare subscription: a terminal that is slow loses nothing.
        _, events = await live.listen(connection.nc, [subject], None)
        async with aclosing(events):
            err.print(f"listening on {subject}; Ctrl-C ends it", markup=False)
            heard = 0
            async for said in events:
                typer.echo(codec.structured(said.headers, said.data) if json else line(said))
                heard += 1
                if heard == count:
                    return


def line(said: Said) -> str:
    """One event for people: when, where, whether it is made up, and what."""
    mark = " (synthetic)" if codec.SYNTHETIC in said.headers else ""
    return f"{said.headers.get(codec.CE_TIME, '')}  {said.subject}{mark}  {said.data.decode()}"
