"""Commands as requests: each reaches a route that exists, and snow on many roads is one request."""

import re
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from schemas.api import Snow, Work, WorkChange
from schemas.packs.load import load_pack
from schemas.road import CancelWork, ClearingRow, SetClearing
from serve.auth import ALLOWED
from serve.commands.calls import Call, calls
from serve.commands.simulate import clearing_rows
from streams.connectors.incidents import INCIDENTS

NOW = datetime(2026, 1, 15, 3, tzinfo=UTC)
PACK = load_pack("chuncheon")


def roles_for(call: Call) -> frozenset[str]:
    """Who may send it, by the API's own table of routes."""
    found = [
        roles
        for (method, path), roles in ALLOWED.items()
        if method == call.method and re.fullmatch(re.sub(r"{\w+}", "[a-z0-9-]+", path), call.path)
    ]
    assert len(found) == 1, f"no route for {call.method} {call.path}"
    return found[0]


def test_a_pack_becomes_one_request_a_fact_in_its_order() -> None:
    found = calls(PACK.commands(NOW, "pack"))
    parts = (PACK.facilities, PACK.sensors, PACK.roads, PACK.cameras, PACK.datasets)
    assert len(found) == sum(map(len, parts))
    for call in found:
        assert {"safety", "road", "operator"} & roles_for(call)
        assert not {"at", "by", "facts"} & set(call.body)


@pytest.mark.parametrize("incident", sorted(INCIDENTS))
def test_every_command_of_an_incident_has_a_request_or_is_a_clearing_report(incident: str) -> None:
    commands = [one for step in INCIDENTS[incident](PACK, NOW) for one in step.commands]
    for call in calls(one for one in commands if not isinstance(one, SetClearing)):
        assert "road" in roles_for(call)


def test_snow_on_all_roads_is_one_request_a_step() -> None:
    steps = INCIDENTS["snowfall"](PACK, NOW)
    begin = calls(steps[0].commands)
    assert len(begin) == 1
    assert Snow.model_validate(begin[0].body).roads == tuple(road.id for road in PACK.roads)


def test_snow_of_different_depths_stays_apart() -> None:
    first, second = (steps.commands[:2] for steps in INCIDENTS["snowfall"](PACK, NOW)[:2])
    assert [len(call.body["roads"]) for call in calls([*first, *second, *first])] == [2, 2, 2]


def test_a_work_is_permitted_and_changed_in_the_apis_own_words() -> None:
    permit, start, finish = calls(one for step in INCIDENTS["excavation"](PACK, NOW) for one in step.commands)
    assert Work.model_validate(permit.body).synthetic
    for call in (start, finish):
        TypeAdapter(WorkChange).validate_python(call.body)


def test_a_command_without_a_request_is_not_dropped_in_silence() -> None:
    with pytest.raises(TypeError, match="CancelWork"):
        calls([CancelWork(at=NOW, by="test", road="a", work="b", reason="c")])


def test_clearing_is_reported_as_the_roads_feed_says_it() -> None:
    commands = [one for step in INCIDENTS["snowfall"](PACK, NOW) for one in step.commands]
    clearing = [one for one in commands if isinstance(one, SetClearing)]
    rows = TypeAdapter(list[ClearingRow]).validate_json(clearing_rows(clearing))
    assert [row.segment for row in rows] == [one.segment for one in clearing]
    assert {row.source for row in rows} == {"simulated"}
