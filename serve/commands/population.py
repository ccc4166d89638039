"""`bomnae population`: register or retire a source, load its files, draw its map; all through the API."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import orjson
from pydantic import ValidationError
from rich.table import Table

from schemas.errors import InvalidError, UnavailableError
from schemas.population import MEANINGS, SourceFacts
from schemas.settings import Settings
from serve.commands.calls import Call
from serve.commands.client import Api
from serve.commands.terminal import out
from serve.population.slots import slot_of

BY = "population"
_TIMEOUT = aiohttp.ClientTimeout(total=600)
_BUSY = (429, 502, 503, 504)
_OUTCOMES = {"recorded": "등록 recorded", "replaced": "교체 replaced", "unchanged": "변화 없음 unchanged"}
_TOLD = 10
"""Places that are not in the city, printed."""


class _Files(Api):
    """The API, with bodies and answers that are files."""

    async def exchanged(
        self, method: str, path: str, query: dict[str, str], body: Callable[[], aiohttp.FormData] | None = None
    ) -> bytes:
        """The bytes that it answers. Raises `InvalidError` with the problem's own words, `UnavailableError` if busy."""
        try:
            data = body() if body is not None else None
            async with self._session.request(method, path, params=query, data=data, timeout=_TIMEOUT) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the API does not answer at {self._base} ({error or 'too slow'})") from error
        if response.status < 400:
            return answer
        why = f"{method} {path}: {_reason(answer)}"
        raise UnavailableError(why) if response.status in _BUSY else InvalidError(why)


def _reason(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")


def facts(
    measure: str, title: tuple[str, str], provider: str, licence: str, hours: str, below: int, *, synthetic: bool
) -> SourceFacts:
    """What a source is, from the options of the command line. Raises `InvalidError` with what is wrong."""
    given: dict[str, Any] = {"measure": measure, "title_ko": title[0], "title_en": title[1], "provider": provider}
    given |= {"licence": licence, "suppress_below": below, "synthetic": synthetic}
    if hours:
        given["hours"] = slot_of(hours).hours
    elif measure in MEANINGS and not MEANINGS[measure].hourly:
        given["hours"] = (0,)
    try:
        return SourceFacts(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "-".join(map(str, first["loc"])).replace("_", "-")
        raise InvalidError(f"--{name}: {first['msg']}" if name else str(first["msg"])) from None


async def register(settings: Settings, source: str, facts: SourceFacts) -> None:
    """Register a source, or correct it. Raises as `Api.ask`."""
    async with Api(settings, BY) as api:
        _, events = await api.send([Call("PUT", f"/v1/population/sources/{source}", facts.model_dump(mode="json"))])
    out.print(f"{source}: {'등록됨 registered' if events else '변화 없음 unchanged'}", markup=False)


async def retire(settings: Settings, source: str, reason: str) -> None:
    """Retire a source; one that is retired stays as it is. Raises as `Api.ask`."""
    async with Api(settings, BY) as api:
        _, events = await api.send([Call("POST", f"/v1/population/sources/{source}/retire", {"reason": reason})])
    out.print(f"{source}: {'폐기됨 retired' if events else '변화 없음 unchanged'}", markup=False)


async def load(
    settings: Settings, file: Path, source: str, places: Path | None, query: dict[str, str], *, json: bool
) -> None:
    """Send a file of counts, with its places, and print what became of it. Raises as `_Files.exchanged`."""
    parts = {"file": _read(file)} | ({} if places is None else {"places": _read(places)})

    def body() -> aiohttp.FormData:
        form = aiohttp.FormData()
        for name, data in parts.items():
            form.add_field(name, data, filename=f"{name}.csv", content_type="text/csv")
        return form

    async with _Files(settings, BY) as api:
        answer = await api.exchanged("POST", f"/v1/population/sources/{source}/days", query, body)
    if json:
        out.print(answer.decode(), markup=False)
        return
    table, lines = shown(orjson.loads(answer))
    out.print(table)
    for line in lines:
        out.print(line, markup=False)


def draw(settings: Settings, question: str, to: Path) -> None:
    """Write the map of an answer, SVG or PNG by the file's ending.

    Raises `InvalidError` for another ending, and as `_Files.exchanged`.
    """
    form = to.suffix.removeprefix(".").lower()
    if form not in ("svg", "png"):
        raise InvalidError(f"{to} ends in neither .svg nor .png")

    async def picture() -> bytes:
        async with _Files(settings, BY) as api:
            return await api.exchanged("GET", "/v1/population", {**dict(parse_qsl(question)), "format": form})

    data = asyncio.run(picture())
    to.write_bytes(data)
    out.print(f"{to}: {len(data):,} bytes", markup=False)


def shown(report: dict[str, Any]) -> tuple[Table, Iterable[str]]:
    """The report of a file as a table of its days, and lines below it; Korean beside English."""
    table = Table(
        *("날짜 day", "받음 received", "배치 placed", "도시 밖 outside", "좌표 없음 unplaced", "중복 repeated"),
        *("시간 hours", "전일 whole", "결과 outcome"),
    )
    for day in report["days"]:
        hours = day["hours"]
        table.add_row(
            day["day"],
            *(f"{day[name]:,.0f}" for name in ("received", "placed")),
            *(f"{day[name]:,.0f} ({day[f'places_{name}']}곳)" for name in ("outside", "unplaced")),
            f"{day['repeated']:,.0f}",
            f"{hours[0]}–{hours[-1]} ({len(hours)})",
            "예 yes" if day["whole"] else "아니오 no",
            _OUTCOMES[day["outcome"]],
        )
    return table, _lines(report)


def _lines(report: dict[str, Any]) -> Iterable[str]:
    yield f"{report['source']}: {report['measure_ko']} · {report['measure_en']}"
    for day in report["days"]:
        if not day["whole"]:
            yield f"{day['day']}: {day['partial_ko']} · {day['partial_en']}"
    found = report["findings"]
    yield (
        f"{found['rows']:,}행 rows: 중복 repeated {found['repeated']:,}, 상충 conflicting {found['conflicting']:,}, "
        f"읽을 수 없음 unreadable {found['unreadable']:,}"
    )
    for one in report["notes"]:
        yield f"! {one['ko']} · {one['en']}"
    if report["boundary"] is not None:
        yield f"경계 boundary: {report['boundary']}"
    kept = {"outside": "도시 밖 outside", "unplaced": "좌표 없음 unplaced"}
    for place in report["elsewhere"][:_TOLD]:
        yield f"  {kept[place['kept']]}: {place['place']} {place['name'] or ''} {place['count']:,.0f}"
    if (more := report["elsewhere_count"] - _TOLD) > 0:
        yield f"  … {more:,}곳 더 more"


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise InvalidError(f"{path} is no file")
    return path.read_bytes()
