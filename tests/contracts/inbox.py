"""What every inbox of datasets promises, and one in memory; each inherits the suite and says how to send to it."""

from collections import Counter

from streams.inbox import Inbox, Sent
from streams.topology import MOST_WAITING


class MemoryInbox:
    """An inbox in memory. `refused` holds what went to REJECTED."""

    def __init__(self) -> None:
        self._sequence = 0
        self._sent: list[tuple[str, Sent]] = []
        self.refused: list[tuple[str, bytes, str]] = []

    async def send(self, dataset: str, data: bytes) -> None:
        self._sequence += 1
        self._sent.append((dataset, Sent(self._sequence, data)))

    async def waiting(self) -> Counter[str]:
        return Counter(name for name, _ in self._sent)

    async def read(self, dataset: str, most: int) -> list[Sent]:
        found: list[Sent] = []
        for sent in (sent for name, sent in self._sent if name == dataset):
            size = sum(len(one.data) for one in (*found, sent))
            if found and (size > most or len(found) == MOST_WAITING):
                break
            found.append(sent)
        return found

    async def clear(self, dataset: str, upto: int) -> None:
        self._sent = [(name, sent) for name, sent in self._sent if name != dataset or sent.sequence > upto]

    async def refuse(self, dataset: str, sent: Sent, reason: str) -> None:
        if (dataset, sent) in self._sent:
            self._sent.remove((dataset, sent))
            self.refused.append((dataset, sent.data, reason))


class InboxContract:
    """Inherit, and give fixtures `inbox`, which is empty, and `send`, an async function of dataset and bytes."""

    async def test_what_waits_is_counted_by_dataset(self, inbox: Inbox, send) -> None:
        assert not await inbox.waiting()
        for name in ("stops", "lamps", "stops"):
            await send(name, b"x")
        assert dict(await inbox.waiting()) == {"stops": 2, "lamps": 1}

    async def test_it_is_read_oldest_first_and_stays(self, inbox: Inbox, send) -> None:
        for number in range(3):
            await send("stops", b"%d" % number)
            await send("lamps", b"y")
        for _ in range(2):
            assert [sent.data for sent in await inbox.read("stops", 100)] == [b"0", b"1", b"2"]

    async def test_no_more_bytes_are_read_than_asked_for_but_one_message_always(self, inbox: Inbox, send) -> None:
        for _ in range(3):
            await send("stops", b"x" * 10)
        assert [len(await inbox.read("stops", most)) for most in (1, 19, 20, 1_000)] == [1, 1, 2, 3]
        assert await inbox.read("lamps", 1_000) == []

    async def test_what_was_taken_in_is_removed_and_the_rest_waits(self, inbox: Inbox, send) -> None:
        for number in range(3):
            await send("stops", b"%d" % number)
            await send("lamps", b"%d" % number)
        second = (await inbox.read("stops", 100))[1].sequence
        for _ in range(2):
            await inbox.clear("stops", second)
            assert [sent.data for sent in await inbox.read("stops", 100)] == [b"2"]
        assert dict(await inbox.waiting()) == {"stops": 1, "lamps": 3}

    async def test_what_is_refused_waits_no_longer(self, inbox: Inbox, send) -> None:
        for number in range(3):
            await send("stops", b"%d" % number)
        (_, second, _) = await inbox.read("stops", 100)
        for _ in range(2):
            await inbox.refuse("stops", second, "no rows")
            assert [sent.data for sent in await inbox.read("stops", 100)] == [b"0", b"2"]
