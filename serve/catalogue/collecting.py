"""Takes in what providers publish on NATS: many as one refresh where that is the same, refusals alone."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from schemas.dataset import Dataset, FromNats
from schemas.errors import InvalidError, UnavailableError
from serve.catalogue.child import UnreadError
from serve.catalogue.standing import Standing
from streams.connectors.fetching import Fetched, digest_of
from streams.inbox import Inbox, Sent
from streams.subjects import ROWS, raw

logger = logging.getLogger(__name__)

TRIES = 3
"""Of a message over which the reading process died: of it, or of what else the machine had to do."""
MOST_TURNED_AWAY = 1_000_000
"""Bytes at a time (one message at least) of a dataset that takes nothing: REJECTED is for everybody's."""

Take = Callable[[Fetched, FromNats], Awaitable[object]]


class Collector:
    """What waits in the inbox, taken in: `most` bytes of a dataset at a time."""

    def __init__(self, inbox: Inbox, most: int) -> None:
        self.inbox, self._most = inbox, most
        self._tries: Counter[tuple[str, int]] = Counter()

    async def collect(self, one: Standing, take: Take) -> str | None:
        """Take in what waits of a dataset; why a message was refused, which went to REJECTED then.

        What was taken in is removed. A crash in between repeats it, which leads to the same rows. Raises what `take`
        does but for `InvalidError`; everything still waits then.
        """
        if not isinstance(connector := one.facts.connector, FromNats):
            return None
        pages = of_one_refresh(one.facts, connector, await self.inbox.read(one.id, self._most))
        while pages:
            data = tuple(sent.data for sent in pages)
            try:
                await take(Fetched(data, digest_of(data), f"NATS {raw('catalogue', one.id, ROWS)}"), connector)
            except InvalidError as error:
                if len(pages) > 1:
                    # Which one it was is found out by halves, from the oldest on.
                    pages = pages[: len(pages) // 2]
                    continue
                self._once_more(one.id, pages[0], error)
                await self.inbox.refuse(one.id, pages[0], str(error))
                return str(error)
            await self.inbox.clear(one.id, pages[-1].sequence)
            break
        return None

    def _once_more(self, dataset: str, sent: Sent, error: InvalidError) -> None:
        """Raises `UnavailableError` for a message that shall be tried again."""
        if not isinstance(error, UnreadError):
            return
        self._tries[dataset, sent.sequence] += 1
        if self._tries[dataset, sent.sequence] < TRIES:
            raise UnavailableError(str(error), 60) from error
        del self._tries[dataset, sent.sequence]

    async def turn_away(self, dataset: str, one: Standing | None) -> None:
        """Refuse what waits for a dataset that takes nothing from NATS."""
        if one is None:
            why = f"there is no dataset {dataset!r}: register it"
        elif one.row["retired_at"] is not None:
            why = f"dataset {dataset!r} is retired and takes no rows"
        else:
            why = f"dataset {dataset!r} takes no rows from NATS: give it a connector that is by nats"
        for sent in await self.inbox.read(dataset, MOST_TURNED_AWAY):
            await self.inbox.refuse(dataset, sent, why)
        logger.warning("datasets: input refused: %s", why)


def of_one_refresh(facts: Dataset, connector: FromNats, sent: Sequence[Sent]) -> Sequence[Sent]:
    """The messages that one refresh takes in: those whose records join, the next one, or the one that holds all."""
    if facts.mode == "replace":
        return sent[-1:]
    return sent if connector.format in {"json", "xml"} else sent[:1]
