"""Takes in what providers publish on NATS: many as one refresh where that is the same, refusals alone."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from schemas.dataset import Dataset, FromNats
from schemas.errors import InvalidError
from serve.catalogue.standing import Standing
from streams.connectors.fetching import Fetched, digest_of
from streams.inbox import Inbox, Sent
from streams.subjects import ROWS, raw

logger = logging.getLogger(__name__)

Take = Callable[[Fetched, FromNats], Awaitable[object]]


async def collect(inbox: Inbox, one: Standing, most: int, take: Take) -> str | None:
    """Take in what waits of a dataset, `most` bytes of it; why a message was refused, which went to REJECTED then.

    What was taken in is removed. A crash in between repeats it, which leads to the same rows. Raises what `take` does
    but for `InvalidError`; everything still waits then.
    """
    if not isinstance(connector := one.facts.connector, FromNats):
        return None
    pages = of_one_refresh(one.facts, connector, await inbox.read(one.id, most))
    while pages:
        data = tuple(sent.data for sent in pages)
        try:
            await take(Fetched(data, digest_of(data), f"NATS {raw('catalogue', one.id, ROWS)}"), connector)
        except InvalidError as error:
            if len(pages) > 1:
                # Which one it was is found out by halves, from the oldest on.
                pages = pages[: len(pages) // 2]
                continue
            await inbox.refuse(one.id, pages[0], str(error))
            return str(error)
        await inbox.clear(one.id, pages[-1].sequence)
        break
    return None


def of_one_refresh(facts: Dataset, connector: FromNats, sent: Sequence[Sent]) -> Sequence[Sent]:
    """The messages that one refresh takes in: those whose records join, the next one, or the one that holds all."""
    if facts.mode == "replace":
        return sent[-1:]
    return sent if connector.format in {"json", "xml"} else sent[:1]


async def turn_away(inbox: Inbox, dataset: str, one: Standing | None, most: int) -> None:
    """Refuse what waits for a dataset that takes nothing from NATS."""
    if one is None:
        why = f"there is no dataset {dataset!r}: register it"
    elif one.row["retired_at"] is not None:
        why = f"dataset {dataset!r} is retired and takes no rows"
    else:
        why = f"dataset {dataset!r} takes no rows from NATS: give it a connector that is by nats"
    for sent in await inbox.read(dataset, most):
        await inbox.refuse(dataset, sent, why)
    logger.warning("datasets: input refused: %s", why)
