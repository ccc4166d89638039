"""`bomnae population`: what it sends, and what it prints of the answer."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from rich.console import Console

from schemas.errors import InvalidError, UnavailableError
from schemas.settings import Settings
from serve.app import create_app
from serve.auth import Verifier
from serve.cli import main
from serve.commands import population
from tests.unit.api.conftest import OPERATOR, SECRET
from tests.unit.api.memory import MemoryBackend
from tests.unit.api.populated import A, boardings, register, stops


@dataclass
class Answer:
    status: int
    body: bytes

    async def read(self) -> bytes:
        return self.body


class Session:
    """aiohttp's, over the app in memory: no socket."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def request(self, method: str, path: str, *, params: Any, data: Any, **_more: Any):
        form = data()
        content = await form.as_bytes()
        headers = OPERATOR | {"content-type": form.content_type}
        answer = await self._client.request(method, path, params=params, content=content, headers=headers)
        yield Answer(answer.status_code, answer.content)

    async def close(self) -> None: ...


@pytest.fixture
async def city(monkeypatch):
    app = create_app(await MemoryBackend().start(), Verifier(SECRET))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city")
    await register(client)

    def start(self, settings, by):
        self._base, self._session = "http://city", Session(client)

    monkeypatch.setattr(population.Api, "__init__", start)
    return client


@pytest.fixture
def said(monkeypatch):
    console = Console(width=200, record=True, quiet=False)
    monkeypatch.setattr(population, "out", console)
    return console.export_text


async def load(tmp_path, file, places=True, source="fare-card", json=False, **query):
    (tmp_path / "counts.csv").write_bytes(file)
    (tmp_path / "stops.csv").write_bytes(stops())
    beside = tmp_path / "stops.csv" if places else None
    await population.load(Settings(), tmp_path / "counts.csv", source, beside, query, json=json)


async def test_a_file_goes_with_its_places_and_its_report_is_printed_in_both_languages(city, said, tmp_path):
    await load(tmp_path, boardings((A, 7, 1200), ("lost", 8, 7)))
    text = said()
    for words in (
        *("받음 received", "1,207", "1,200", "7 (1곳)", "등록 recorded", "예 yes", "버스 승차 건수 · bus boardings"),
        *("no boundary of the city is known", "좌표 없음 unplaced: lost 정류장 7"),
    ):
        assert words in text, words
    await load(tmp_path, boardings((A, 7, 1200), ("lost", 8, 7)))
    assert "변화 없음 unchanged" in said()


async def test_why_a_day_is_partial_is_printed(city, said, tmp_path):
    await load(tmp_path, boardings((A, 7, 40)))
    assert "2026-01-05: 8시의 행이 없음 · it has no rows in the hours 8" in said()


async def test_what_the_api_refuses_is_told_in_its_words(city, tmp_path):
    with pytest.raises(InvalidError, match="part `places`"):
        await load(tmp_path, boardings((A, 7, 40)), places=False)
    with pytest.raises(InvalidError, match="no population source 'ghost'"):
        await load(tmp_path, boardings((A, 7, 40)), source="ghost")


async def test_an_api_that_is_busy_is_told_to_be_away(city, tmp_path, monkeypatch):
    @asynccontextmanager
    async def busy(*_args, **_more):
        yield Answer(503, b'{"detail": "too many write requests at once"}')

    monkeypatch.setattr(Session, "request", busy)
    with pytest.raises(UnavailableError, match="too many write requests"):
        await load(tmp_path, boardings((A, 7, 40)))


@pytest.mark.parametrize(("events", "words"), [(1, "폐기됨 retired"), (0, "변화 없음 unchanged")])
async def test_retiring_a_source_sends_the_reason_and_says_whether_it_changed_anything(
    monkeypatch, said, events, words
):
    sent = []

    async def send(self, calls):
        sent.extend(calls)
        return "", events

    monkeypatch.setattr(population.Api, "send", send)
    await population.retire(Settings(), "fare-card", "contract ended")
    (call,) = sent
    assert (call.method, call.path) == ("POST", "/v1/population/sources/fare-card/retire")
    assert (call.body, said()) == ({"reason": "contract ended"}, f"fare-card: {words}\n")


def test_hours_of_a_source_are_written_as_a_slot_and_default_to_those_of_its_measure():
    def facts(measure, hours):
        return population.facts(measure, ("가", "a"), "춘천시", "none", hours, 10, synthetic=False)

    assert facts("boardings", "5-24").hours == tuple(range(5, 24))
    assert facts("boardings", "").hours == tuple(range(24))
    assert facts("residents", "").hours == (0,)
    with pytest.raises(InvalidError, match="--measure"):
        facts("crowds", "")


@pytest.mark.parametrize(
    "arguments", [("load", "none.csv", "--source", "x"), ("map", "measure=boardings", "--to", "x.pdf")]
)
def test_wrong_use_is_one_sentence(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["population", *arguments])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
