"""Datasets whose rows come by NATS: what is taken in at once, what is refused, what is left for later."""

import pytest

from schemas.catalogue import RetireDataset
from schemas.dataset import FromNats
from schemas.errors import UnavailableError
from serve.catalogue import refreshing
from serve.catalogue.child import UnreadError
from serve.catalogue.collecting import TRIES
from tests.contracts.inbox import InboxContract, MemoryInbox
from tests.unit.catalogue.service.declared import ROWS, here, stops

LIST = b'[{"stop": "%b", "lamps": %d}]'
FEW = stops(connector=FromNats(format="csv"))
JOINED = stops(connector=FromNats(format="json"), mode="upsert")
HEADER = "정류장 번호,lamps\n"


class TestMemoryInbox(InboxContract):
    @pytest.fixture
    def inbox(self):
        return MemoryInbox()

    @pytest.fixture
    def send(self, inbox):
        return inbox.send


async def later(city):
    city.backend.pass_time(0.01)
    return await city.look()


async def lamps(city):
    return dict((await city.rows()).select("stop", "lamps").iter_rows())


async def test_what_a_provider_sends_is_taken_in_and_waits_no_longer(city):
    await city.declare(declared=FEW)
    assert await city.look() == 0
    await city.inbox.send("stops", ROWS.encode())
    assert [await city.look(), await city.look()] == [1, 0]
    assert (city.one().status, city.one().newest.rows) == ("fresh", 4)
    assert city.one().newest.source == "NATS city.raw.catalogue.stops.rows"
    assert ("range", "lamps") in {(one.kind, one.column) for one in city.one().newest.findings}


async def test_of_several_messages_that_each_hold_all_rows_the_newest_counts(city):
    await city.declare(declared=FEW)
    for number in range(3):
        await city.inbox.send("stops", f"{HEADER}A{number},1\n".encode())
    assert [await city.look(), await city.look()] == [1, 0]
    assert await lamps(city) == {"A2": 1}
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed"]


async def test_messages_whose_rows_join_are_one_refresh_and_later_ones_count(city):
    await city.declare(declared=JOINED)
    for stop, count in ((b"A1", 1), (b"A2", 2), (b"A1", 3)):
        await city.inbox.send("stops", LIST % (stop, count))
    assert [await city.look(), await city.look()] == [1, 0]
    assert await lamps(city) == {"A1": 3, "A2": 2}
    await city.inbox.send("stops", LIST % (b"A2", 5))
    assert await city.look() == 0, "each refresh is an event: they keep a pace"
    await later(city)
    assert await lamps(city) == {"A1": 3, "A2": 5}
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed", "dataset-refreshed"]


async def test_files_whose_rows_join_come_one_after_the_other(city):
    await city.declare(declared=stops(connector=FromNats(format="csv"), mode="upsert"))
    for stop in ("A1", "A2"):
        await city.inbox.send("stops", f"{HEADER}{stop},1\n".encode())
    assert [await city.look(), await later(city), await later(city)] == [1, 1, 0]
    assert await lamps(city) == {"A1": 1, "A2": 1}


async def test_a_lone_record_is_a_row_where_the_path_is_all_of_it(city):
    await city.declare(declared=stops(connector=FromNats(format="json", path="."), mode="upsert"))
    await city.inbox.send("stops", b'{"stop": "A1", "lamps": 4}')
    await city.inbox.send("stops", b'[{"stop": "A2", "lamps": 5}]')
    await city.look()
    assert await lamps(city) == {"A1": 4, "A2": 5}


async def test_what_cannot_be_read_is_refused_alone_and_the_others_count(city):
    await city.declare(declared=JOINED)
    for data in (LIST % (b"A1", 1), LIST % (b"A2", 2), b"{", LIST % (b"A3", 3)):
        await city.inbox.send("stops", data)
    while await city.inbox.waiting():
        await later(city)
    assert await lamps(city) == {"A1": 1, "A2": 2, "A3": 3}
    ((dataset, data, why),) = city.inbox.refused
    assert (dataset, data) == ("stops", b"{")
    assert "JSON" in why
    kinds = await city.kinds()
    assert (kinds.count("provider-failed"), kinds.count("provider-restored"), city.one().status) == (1, 1, "fresh")


async def test_where_the_newest_cannot_be_read_the_one_before_counts(city):
    await city.declare(declared=FEW)
    await city.inbox.send("stops", ROWS.encode())
    await city.inbox.send("stops", b"\x00\xff")
    assert [await city.look(), city.one().status, await city.look(), city.one().status] == [1, "down", 1, "fresh"]
    assert city.one().newest.rows == 4


@pytest.mark.parametrize("case", ["unknown", "retired", "uploaded by hand"])
async def test_what_comes_for_a_dataset_that_takes_nothing_is_refused_with_the_reason(city, case):
    if case != "unknown":
        await city.declare(declared=FEW if case == "retired" else stops())
    if case == "retired":
        command = RetireDataset(at=city.backend.now(), by="kim", dataset="stops", reason="두 번 있다")
        await city.backend.submit([command], None, None)
    await city.inbox.send("stops", ROWS.encode())
    assert [await city.look(), await city.look(), await city.look()] == [0, 1, 0], "not at first sight"
    ((_, data, why),) = city.inbox.refused
    assert data == ROWS.encode()
    said = {"unknown": "register it", "retired": "is retired", "uploaded by hand": "a connector that is by nats"}
    assert said[case] in why


async def test_what_cannot_be_stored_waits_until_it_can(city, monkeypatch):
    await city.declare(declared=FEW)
    await city.inbox.send("stops", ROWS.encode())

    async def full(name, data):
        raise UnavailableError("the disk is full", 60)

    with monkeypatch.context() as patched:
        patched.setattr(city.backend, "put_object", full)
        await city.look()
    assert (city.one().status, dict(await city.inbox.waiting()), city.inbox.refused) == ("down", {"stops": 1}, [])
    await city.look()
    assert city.one().status == "down"
    city.backend.pass_time(1)
    await city.look()
    assert (city.one().status, dict(await city.inbox.waiting())) == ("fresh", {})


async def test_a_message_that_was_taken_in_before_a_crash_counts_once(city, monkeypatch):
    await city.declare(declared=JOINED)
    await city.inbox.send("stops", LIST % (b"A1", 1))

    async def away(dataset, upto):
        raise UnavailableError("NATS is away")

    with monkeypatch.context() as patched:
        patched.setattr(city.inbox, "clear", away)
        await city.look()
    assert await lamps(city) == {"A1": 1}
    city.backend.pass_time(1)
    await city.look()
    assert (await lamps(city), len(city.one().versions), dict(await city.inbox.waiting())) == ({"A1": 1}, 1, {})


async def test_a_dataset_that_is_registered_while_its_rows_wait_takes_them(city):
    await city.inbox.send("stops", ROWS.encode())
    assert await city.look() == 0
    await city.declare(declared=FEW)
    assert (await city.look(), city.one().newest.rows, city.inbox.refused) == (1, 4, [])


async def test_who_cannot_be_turned_away_holds_up_nobody(city, monkeypatch):
    refuse = city.inbox.refuse

    async def away(dataset, sent, reason):
        if dataset == "aaa":
            raise UnavailableError("NATS is away")
        await refuse(dataset, sent, reason)

    monkeypatch.setattr(city.inbox, "refuse", away)
    await city.declare(declared=FEW)
    for name in ("aaa", "zzz"):
        await city.inbox.send(name, b"x")
    await city.look()
    await city.inbox.send("stops", ROWS.encode())
    await city.look()
    assert (city.one().status, [name for name, _, _ in city.inbox.refused]) == ("fresh", ["zzz"])


@pytest.mark.parametrize("messages", [1, 3])
async def test_a_message_over_which_its_reader_dies_is_tried_again_and_refused_in_the_end(city, monkeypatch, messages):
    async def dies(job):
        if b"A0" in job.pages[0]:
            raise UnreadError("it took more memory")
        return await here(job)

    monkeypatch.setattr(refreshing, "taken", dies)
    await city.declare(declared=JOINED)
    for number in range(messages):
        await city.inbox.send("stops", LIST % (b"A%d" % number, number))
    for _ in range(TRIES - 1):
        await city.look()
        assert (city.inbox.refused, len(await city.inbox.read("stops", 1_000))) == ([], messages)
        city.backend.pass_time(7)
    await city.look()
    assert [data for _, data, _ in city.inbox.refused] == [LIST % (b"A0", 0)]
    await later(city)
    assert await city.inbox.waiting() == {}
