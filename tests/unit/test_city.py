"""Commands on their way to the owners of shards: together for a shard, and apart from those of any other."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.host import Request, ShardKey
from actors.journal import Entry
from schemas.errors import BomnaeError, ConflictError, UnavailableError
from schemas.person import CaseFacts, OpenCase
from schemas.settings import Settings
from serve import city as served
from serve.city import City
from streams.subjects import partition

NOW = datetime(2026, 1, 15, 3, tzinfo=UTC)
FACTS = CaseFacts(
    kind="minor", authority="made up", legal_ground="made up", reason="made up", officer="kim", expires_at=NOW
)


class Owners:
    """All hosts: `calls` are the shards of the commands that came together; shards that are `stuck` do not commit."""

    def __init__(self) -> None:
        self.calls: list[list[ShardKey]] = []
        self.stuck: set[ShardKey] = set()
        self.submit = self

    async def remote(self, requests: Sequence[Request]) -> list[Entry | BomnaeError]:
        self.calls.append([one.shard for one in requests])
        await asyncio.sleep(60 if self.stuck & {one.shard for one in requests} else 0.01)
        return [self._entry(one) for one in requests]

    def _entry(self, request: Request) -> Entry | BomnaeError:
        assert request.command is not None
        if request.command.by == "nobody":
            return ConflictError("not by nobody")
        return Entry(request.digest, request.at, len(self.calls))


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Owners:
    owners = Owners()
    monkeypatch.setattr(served, "find", lambda *_: owners)
    return owners


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(Settings(data=tmp_path, person_shards=2, shard_hosts=1))


def opening(shard: int, by: str = "kim") -> OpenCase:
    number = next(number for number in range(99) if partition(f"case-{number}", 2) == shard)
    facts = FACTS.model_copy(update={"expires_at": NOW + timedelta(days=1)})
    return OpenCase(at=NOW, by=by, case=f"case-{number}", facts=facts)


async def submit(city: City, *commands: Any) -> tuple[int, ...]:
    return tuple(piece.sequence for piece in (await city.submit(commands, None, None)).position)


async def test_commands_of_requests_that_come_together_are_one_call_for_their_shard(city: City, owners: Owners) -> None:
    told = await asyncio.gather(*(submit(city, opening(0)) for _ in range(5)))
    assert owners.calls == [[("person", 0)] * 5]
    assert told == [(1,)] * 5


async def test_one_that_is_refused_is_refused_alone(city: City, owners: Owners) -> None:
    first, refused = await asyncio.gather(
        submit(city, opening(0)), submit(city, opening(0, "nobody")), return_exceptions=True
    )
    assert first == (1,)
    assert isinstance(refused, ConflictError)


async def test_a_shard_that_cannot_commit_keeps_no_other_shards_commands_waiting(
    city: City, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_WRITE_S", 0.2)
    owners.stuck.add(("person", 0))
    stuck = asyncio.create_task(submit(city, opening(0)))
    assert await submit(city, opening(1)) == (2,)
    with pytest.raises(UnavailableError, match="did not answer"):
        await stuck
    owners.stuck.clear()
    assert len(await submit(city, opening(0), opening(1))) == 2
