"""What is too large for one request, or for the log, is refused with a sentence that says what to do."""

import pytest

from schemas.api import MAX_POINTS, MAX_SEGMENTS
from tests.unit.api.conftest import ROAD, ROAD_FACTS

LINE = [[127.5, 37.5]] * 60


def facts(*segments: dict[str, object]) -> dict[str, object]:
    return {**ROAD_FACTS, "segments": segments}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (facts(*({"segment": f"s-{n}"} for n in range(MAX_SEGMENTS + 1))), "at most 2,000 segments, not 2,001"),
        (facts({"segment": "s-1", "line": [[127.0, 37.0]] * (MAX_POINTS + 1)}), "segment 's-1' has 2,001 points"),
    ],
)
async def test_a_request_brings_so_many_segments_and_points_at_most(client, body, why):
    answer = await client.put("/v1/roads/long", json=body, headers=ROAD)
    assert answer.status_code == 422
    assert why in answer.json()["errors"][0]["reason"]


async def test_a_road_that_has_outgrown_one_event_is_refused_and_its_shard_goes_on(client):
    answers = []
    for part in range(4):
        segments = ({"segment": f"s-{part}-{n}", "line": LINE} for n in range(MAX_SEGMENTS))
        answers.append(await client.put("/v1/roads/jungang", json=facts(*segments), headers=ROAD))
    assert [one.status_code for one in answers] == [200, 200, 422, 422]
    assert "bytes in one command or event, and at most 4,194,304 can be kept" in answers[-1].json()["detail"]
    again = await client.put("/v1/roads/jungang", json=facts({"segment": "s-0-0"}), headers=ROAD)
    assert again.status_code == 200
