"""Datasets from files and from providers over HTTP: pages, ETags, pauses, refusals; and a key that nobody learns."""

import logging
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import quote

import aiohttp
import orjson
import polars as pl
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from actors.catalogue.state import object_of
from schemas.catalogue import RegisterDataset
from schemas.dataset import FromFile, FromHttp, Paging
from schemas.errors import InvalidError, NotFoundError, TooManyRequestsError, UnavailableError
from serve.catalogue import refreshing
from serve.catalogue.asking import more_of, without
from serve.catalogue.refreshing import Refresher, Sources
from serve.catalogue.rounds import Rounds
from streams.connectors.fetching import Pause, from_file, from_http
from tests.unit.api.memory import MemoryBackend
from tests.unit.catalogue.entries import NAME, facts
from tests.unit.catalogue.service.declared import LAMPS, here

KEY, KEY_ENV = "s3cret+key/==", "BOMNAE_KEY_STOPS"
MOST = 1_000_000
SECOND = 1 / 3_600


class Provider:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self):
        self.asked, self.headers = [], []
        self.answer = lambda _: web.json_response([])

    async def handle(self, request):
        self.asked.append(request.query.copy())
        self.headers.append(request.headers.copy())
        return self.answer(request)

    @asynccontextmanager
    async def serving(self, host="127.0.0.1"):
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        async with TestServer(app, host=host) as server:
            yield str(server.make_url("/list"))


@pytest.fixture
async def provider():
    made = Provider()
    async with made.serving() as url, aiohttp.ClientSession() as session:
        made.url, made.session = url, session
        yield made


def connector(provider, **more):
    return FromHttp(**{"format": "json", "url": provider.url, "key_env": KEY_ENV, **more})


async def fetch(provider, mark="", most=MOST, key=KEY, **more):
    declared = connector(provider, **more)
    return await from_http(provider.session, declared, key, mark, more_of(declared), most)


async def failure(provider, error, **more):
    """What is told of an answer that fails; never the key."""
    with pytest.raises(error) as caught:
        await fetch(provider, **more)
    said = str(caught.value) + repr(caught.value.__cause__)
    assert KEY not in said
    assert "s3cret" not in said
    return caught.value


async def test_an_answer_is_one_page_with_its_digest_and_no_key(provider):
    found = await fetch(provider, parameters={"city": "춘천"})
    assert (found.pages, found.source) == ((b"[]",), provider.url)
    assert provider.asked[0] == {"city": "춘천", "serviceKey": KEY}
    assert await fetch(provider, found.mark) is None


async def test_an_etag_is_asked_for_and_304_is_nothing_new(provider):
    provider.answer = lambda request: web.Response(
        **({"status": 304} if request.headers.get("if-none-match") == '"v1"' else {"body": b"[1]"}),
        headers={"etag": '"v1"'},
    )
    found = await fetch(provider)
    assert found.mark == '"v1"'
    assert await fetch(provider, found.mark) is None
    assert [one.get("if-none-match") for one in provider.headers] == [None, '"v1"']
    assert (await fetch(provider, '"v0"')).mark == '"v1"'


async def test_an_etag_beyond_all_measure_is_passed_over(provider):
    provider.answer = lambda _: web.Response(body=b"[1]", headers={"etag": f'"{"x" * 1_000}"'})
    assert len((await fetch(provider)).mark) == 64


def paged(total=None, rows=(), size=2, etag=""):
    """A provider of `rows` in pages, which tells their number where `total` is given."""

    def answer(request):
        page, asked = int(request.query["pageNo"]), min(int(request.query["numOfRows"]), size)
        found = list(rows)[(page - 1) * asked : page * asked]
        body = {"items": {"item": found}} | ({"totalCount": total} if total is not None else {})
        headers = {"etag": etag} if etag else {}
        return web.json_response({"response": {"header": {"resultCode": "00"}, "body": body}}, headers=headers)

    return answer


def records(found):
    return [one["n"] for page in found.pages for one in orjson.loads(page)["response"]["body"]["items"]["item"]]


NUMBERED = [{"n": number} for number in range(5)]


@pytest.mark.parametrize("total", [5, None])
async def test_pages_are_asked_for_until_all_have_come(provider, total):
    provider.answer = paged(total, NUMBERED)
    found = await fetch(provider, paging=Paging(rows=2))
    assert records(found) == [0, 1, 2, 3, 4]
    assert [one["pageNo"] for one in provider.asked] == ["1", "2", "3"]


async def test_a_provider_that_gives_fewer_rows_than_asked_for_is_asked_on(provider):
    provider.answer = paged(5, NUMBERED)
    assert records(await fetch(provider, paging=Paging(rows=1_000))) == [0, 1, 2, 3, 4]


async def test_a_full_last_page_is_followed_by_an_empty_one_where_no_total_is_told(provider):
    provider.answer = paged(None, NUMBERED[:4])
    assert records(await fetch(provider, paging=Paging(rows=2))) == [0, 1, 2, 3]
    assert len(provider.asked) == 3


async def test_a_total_that_is_never_reached_ends_at_an_empty_page(provider):
    provider.answer = paged(99, NUMBERED)
    assert records(await fetch(provider, paging=Paging(rows=2))) == [0, 1, 2, 3, 4]


async def test_more_pages_than_allowed_are_told(provider):
    provider.answer = paged(5, NUMBERED)
    assert "more than 2 pages" in str(await failure(provider, InvalidError, paging=Paging(rows=2, most=2)))


async def test_the_tag_of_a_first_page_hides_nothing_of_the_others(provider):
    provider.answer = paged(5, NUMBERED, etag='"same"')
    first = await fetch(provider, paging=Paging(rows=2))
    provider.answer = paged(5, [*NUMBERED[:4], {"n": 9}], etag='"same"')
    assert records(await fetch(provider, first.mark, paging=Paging(rows=2))) == [0, 1, 2, 3, 9]
    assert not any("if-none-match" in one for one in provider.headers)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("9" * 40, 86_400), ("", 60), ("soon", 60), ("-1", 60)])
@pytest.mark.parametrize(("status", "error"), [(429, TooManyRequestsError), (503, UnavailableError)])
async def test_the_pause_that_is_asked_for_is_told(provider, status, error, said, seconds):
    provider.answer = lambda _: web.Response(status=status, headers={"retry-after": said})
    assert (await failure(provider, error)).retry_after_s == seconds


async def test_the_pause_may_be_a_date(provider):
    dates = {"date": formatdate(1_000_000_000, usegmt=True), "retry-after": formatdate(1_000_000_090, usegmt=True)}
    provider.answer = lambda _: web.Response(status=429, headers=dates)
    assert (await failure(provider, TooManyRequestsError)).retry_after_s == 90


@pytest.mark.parametrize(
    ("status", "error"), [(500, UnavailableError), (502, UnavailableError), (401, InvalidError), (404, InvalidError)]
)
async def test_a_status_that_is_none_of_success_is_told_without_the_providers_words(provider, status, error):
    provider.answer = lambda request: web.Response(status=status, reason=f"key {request.query['serviceKey']} is bad")
    assert str(status) in str(await failure(provider, error))


async def test_too_many_bytes_are_told_before_all_have_come(provider):
    provider.answer = lambda _: web.Response(body=b"x" * 5_000)
    assert "more bytes" in str(await failure(provider, InvalidError, most=4_999))
    assert len((await fetch(provider, most=5_000)).pages[0]) == 5_000


async def test_a_small_answer_that_unpacks_to_a_large_one_is_told(provider):
    def answer(_):
        packed = web.Response(body=b"x" * 5_000_000)
        packed.enable_compression(web.ContentCoding.gzip)
        return packed

    provider.answer = answer
    assert "more bytes" in str(await failure(provider, InvalidError))


async def test_nobody_at_the_address_is_told_without_the_key(provider):
    for url in ("http://127.0.0.1:1/list", "http://[::1/list", "http://a..b/", f"http://{'x' * 300}/"):
        await failure(provider, (UnavailableError, InvalidError), url=url)


async def test_a_connection_that_breaks_is_told(provider):
    def answer(request):
        request.transport.close()
        return web.Response()

    provider.answer = answer
    assert "does not answer" in str(await failure(provider, UnavailableError))


async def test_what_stands_in_the_address_itself_is_not_told(provider):
    url = provider.url.replace("//", "//kim:s3cret@") + "?serviceKey=s3cret#s3cret"
    assert "s3cret" not in (await fetch(provider, url=url, key=None)).source
    provider.answer = lambda _: web.Response(status=500)
    await failure(provider, UnavailableError, url=url, key=None)


async def test_a_redirection_within_the_host_is_followed(provider):
    def answer(request):
        if request.path == "/list":
            raise web.HTTPFound(f"/new?{request.query_string}")
        return web.json_response([1])

    provider.answer = answer
    assert (await fetch(provider)).pages == (b"[1]",)
    assert [one["serviceKey"] for one in provider.asked] == [KEY, KEY]


async def test_a_redirection_to_another_host_gets_no_key(provider):
    other = Provider()
    async with other.serving("localhost") as url:
        for status in (301, 302, 303, 307, 308):

            def answer(request, status=status):
                return web.Response(status=status, headers={"location": f"{url}?{request.query_string}"})

            provider.answer = answer
            assert f"has moved to {url}: give that address" in str(await failure(provider, InvalidError))
    assert other.asked == []


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/list", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1/", ""]
)
async def test_a_redirection_to_another_port_or_scheme_or_nowhere_is_told(provider, location):
    provider.answer = lambda _: web.Response(status=302, headers={"location": location})
    await failure(provider, (InvalidError, UnavailableError))


async def test_a_redirection_without_end_is_told(provider):
    provider.answer = lambda request: web.Response(status=302, headers={"location": request.path})
    assert "more than 5 times" in str(await failure(provider, InvalidError))
    assert len(provider.asked) == 6


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "datasets"
    inside.mkdir()
    (inside / "stops.csv").write_bytes(b"stop\n1\n")
    (tmp_path / "secret.csv").write_bytes(b"secret")
    return inside


def file(folder, name, most=MOST, mark=""):
    return from_file(folder, FromFile(format="csv", file=name), mark, most)


def test_a_file_below_the_folder_is_read_and_its_bytes_tell_whether_it_is_new(folder):
    found = file(folder, "stops.csv")
    assert (found.pages, found.source) == ((b"stop\n1\n",), "stops.csv")
    assert file(folder, "stops.csv", mark=found.mark) is None


@pytest.mark.parametrize("name", ["../secret.csv", "a/../../secret.csv", "/etc/passwd", "link.csv", "door/secret.csv"])
def test_nothing_outside_of_the_folder_is_read(folder, name):
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    (folder / "door").symlink_to(folder.parent)
    with pytest.raises(InvalidError, match="leads out of the folder"):
        file(folder, name)


def test_links_within_the_folder_are_followed(folder):
    (folder / "link.csv").symlink_to("stops.csv")
    assert file(folder, "link.csv").pages == (b"stop\n1\n",)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("none.csv", NotFoundError),
        (".", NotFoundError),
        ("loop", UnavailableError),
        ("a\0b", UnavailableError),
        ("x" * 299, UnavailableError),
    ],
)
def test_what_is_no_file_is_told(folder, name, error):
    (folder / "loop").symlink_to(folder / "loop")
    with pytest.raises(error):
        file(folder, name)


def test_a_file_that_is_too_large_is_told(folder):
    with pytest.raises(InvalidError, match="has 7 bytes, and 6 at most"):
        file(folder, "stops.csv", most=6)
    assert file(folder, "stops.csv", most=7)


def test_a_pause_doubles_up_to_six_hours_and_begins_anew():
    pause = Pause()
    assert [pause.failed(3_600) for _ in range(8)] == [360, 720, 1_440, 2_880, 5_760, 11_520, 21_600, 21_600]
    assert pause.failed(3_600, 30_000) == 30_000
    pause.answered()
    assert (pause.failed(1), pause.failed(1), Pause().failed(10, 60)) == (10, 20, 60)


class City:
    """The rounds of a city in memory, and a provider of one dataset."""

    def __init__(self, backend, provider):
        self.backend, self.provider = backend, provider
        self.keys = {KEY_ENV: KEY}
        sources = Sources(key_of=self.keys.get)
        self.refresher, self.rounds = Refresher(backend, sources), Rounds(backend, sources)

    async def declare(self, **more):
        told = {"key": ("name",), "interval_s": 600, "columns": (NAME, LAMPS)} | more
        declared = facts(connector=connector(self.provider, **told.pop("http", {})), **told)
        command = RegisterDataset(at=self.backend.now(), by="kim", dataset="stops", facts=declared)
        await self.backend.submit([command], None, None)

    async def look(self, seconds=0.0):
        self.backend.pass_time(seconds * SECOND)
        return await self.rounds.look(self.provider.session)

    @property
    def one(self):
        return self.refresher.standings()["stops"]

    async def kinds(self):
        names = [one.type.split(".")[2] for one in await self.backend.history("catalogue", "stops", 0, 999)]
        return [name for name in names if name not in {"dataset-opened", "dataset-late"}][1:]

    async def everything(self):
        """All that is kept of a dataset."""
        items = [one.data for one in await self.backend.history("catalogue", "stops", 0, 999)]
        feed = [one.data for one in self.backend.feed_items]
        return orjson.dumps(items) + b"".join(feed) + str(self.one.row).encode() + str(self.one.versions).encode()


@pytest.fixture
async def city(provider, monkeypatch):
    monkeypatch.setattr(refreshing, "taken", here)
    return City(await MemoryBackend().start(), provider)


ROWS = [{"name": "역전", "lamps": 2}, {"name": "시청", "lamps": 0}]


async def test_a_provider_is_asked_at_its_interval_and_304_confirms(city, provider):
    provider.answer = lambda request: web.Response(
        **({"status": 304} if "if-none-match" in request.headers else {"body": orjson.dumps(ROWS)}),
        headers={"etag": 'W/"1"'},
    )
    await city.declare()
    assert [await city.look(), await city.look(), await city.look(599), await city.look(2)] == [1, 0, 0, 1]
    assert await city.kinds() == ["dataset-refreshed", "dataset-confirmed"]
    assert (city.one.newest.rows, city.one.status) == (2, "fresh")


async def test_the_same_rows_without_an_etag_confirm_too(city, provider):
    provider.answer = lambda _: web.json_response(ROWS)
    await city.declare()
    await city.look()
    await city.look(601)
    assert await city.kinds() == ["dataset-refreshed", "dataset-confirmed"]


async def test_pages_become_one_version(city, provider):
    provider.answer = paged(5, [{"name": f"S{number}", "lamps": number} for number in range(5)])
    await city.declare(http={"paging": Paging(rows=2)})
    await city.look()
    rows = pl.read_parquet(city.backend.objects[object_of("stops", city.one.newest)])
    assert rows["lamps"].to_list() == [0, 1, 2, 3, 4]


async def test_rows_join_those_of_before(city, provider):
    provider.answer = lambda _: web.json_response(ROWS)
    await city.declare(mode="upsert")
    await city.look()
    provider.answer = lambda _: web.json_response([{"name": "시청", "lamps": 7}, {"name": "새", "lamps": 1}])
    await city.look(601)
    rows = pl.read_parquet(city.backend.objects[object_of("stops", city.one.newest)])
    assert rows.select("name", "lamps").rows() == [("역전", 2), ("시청", 7), ("새", 1)]
    provider.answer = lambda _: web.json_response([])
    await city.look(601)
    assert (city.one.status, city.one.newest.rows, city.one.newest.header) == ("fresh", 3, ("name", "lamps"))


async def test_a_provider_that_asks_for_a_pause_gets_it(city, provider):
    provider.answer = lambda _: web.Response(status=429, headers={"retry-after": "5000"})
    await city.declare()
    assert [await city.look(), await city.look(4_998), await city.look(3)] == [1, 0, 1]
    assert await city.kinds() == ["provider-failed"]


FAULTS = {
    "500": lambda _: web.Response(status=500),
    "broken": lambda request: web.Response(text='{"items": [' + request.query["serviceKey"]),
    "page": lambda _: web.Response(text="<html>maintenance</html>", content_type="text/html"),
    "key": lambda request: web.json_response(
        {
            "response": {
                "header": {"resultCode": "30", "resultMsg": f"KEY {request.query['serviceKey']} IS NOT REGISTERED"}
            }
        }
    ),
    "gateway": lambda request: web.Response(
        text="<OpenAPI_ServiceResponse><cmmMsgHeader><errMsg>SERVICE ERROR</errMsg>"
        f"<returnAuthMsg>{request.query['serviceKey']}</returnAuthMsg><returnReasonCode>22</returnReasonCode>"
        "</cmmMsgHeader></OpenAPI_ServiceResponse>"
    ),
    "elsewhere": lambda request: web.Response(
        status=302, headers={"location": f"http://localhost:1/?{request.query_string}"}
    ),
    "unlike": lambda request: web.json_response(
        [{"other": request.query["serviceKey"], request.query["serviceKey"]: 1}]
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_provider_that_fails_is_down_until_it_answers_and_its_key_is_told_nowhere(
    city, provider, caplog, fault
):
    caplog.set_level(logging.DEBUG)
    provider.answer = lambda _: web.json_response(ROWS)
    await city.declare(http={"paging": Paging()} if fault == "key" else {})
    await city.look()
    before = city.one.newest
    provider.answer = FAULTS[fault]
    assert await city.look(601) == 1
    assert (city.one.status, city.one.newest) == ("down", before)
    provider.answer = lambda _: web.json_response(ROWS[:1])
    assert await city.look(61) == 1
    assert await city.kinds() == ["dataset-refreshed", "provider-failed", "provider-restored", "dataset-refreshed"]
    assert all(one["serviceKey"] == KEY for one in provider.asked)
    ours = "".join(one.getMessage() for one in caplog.records if one.name.startswith(("serve", "streams")))
    assert ours
    assert "s3cret" not in ours + (await city.everything()).decode()


async def test_without_its_key_a_provider_is_not_asked(city, provider):
    city.keys.clear()
    await city.declare()
    assert await city.look() == 1
    assert (provider.asked, city.one.row["down_why"]) == ([], f"the key of this source is missing: set {KEY_ENV}")


async def test_no_data_is_no_refusal(city, provider):
    provider.answer = lambda _: web.json_response(
        {"response": {"header": {"resultCode": "03", "resultMsg": "NODATA_ERROR"}}}
    )
    await city.declare(may_be_empty=True)
    await city.look()
    assert (city.one.status, city.one.newest.rows) == ("fresh", 0)


@pytest.mark.parametrize(
    "written", ["s3cret+key/==", "s3cret%2Bkey%2F%3D%3D", "s3cret%2bkey/%3D%3D", "s3cret%252Bkey/=="]
)
def test_a_key_is_left_out_however_it_is_written(written):
    assert without(f"bad key: {written}!", KEY) == without(f"bad key: {written}!", quote(KEY)) == "bad key: …!"
    assert "s3cret" not in without(f"it begins with {written[:-1]!r}", KEY)
    assert without("no key", None) == "no key"


async def test_a_provider_that_says_304_to_a_first_question_is_not_asked_without_end(city, provider):
    provider.answer = lambda _: web.Response(status=304)
    await city.declare()
    assert [await city.look(), await city.look(), await city.look(5)] == [1, 0, 0]
