"""What a road feed publishes: rows that count, rows that do not, and divisions that make no difference."""

import orjson
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.road.decider import decide_clearing
from streams.log import Position
from tests.unit.road.scenario import CONTEXT, given, message, road, row

MANY = 10**9


def observe(city, messages, start=Position(), max_events=MANY):  # noqa: B008 - frozen
    return CONTEXT.observe(city.state, messages, start, max_events)


def test_rows_of_a_feed_become_events():
    city = given(road())
    outcome = observe(city, [message(1, [row("snowed"), row("cleared", 1), row("snowed", 0, "jungang-ro-2")])])
    assert [event.name for event in outcome.events] == ["clearing-changed", "segment-status-changed"] * 3
    assert (outcome.rows, outcome.end, outcome.rejections) == (3, Position(1, 0), [])
    assert [row["clearing"] for row in city.table("segments")] == ["cleared", "snowed"]


def test_a_single_row_needs_no_array():
    assert observe(given(road()), [message(1, row("snowed"))]).rows == 1


def test_the_same_message_again_changes_nothing_and_is_not_refused():
    city = given(road())
    outcome = observe(city, [message(1, [row("snowed")]), message(2, [row("snowed")])])
    assert (len(outcome.events), outcome.rows, outcome.rejections) == (2, 2, [])


def test_bad_rows_are_refused_with_the_reason_and_the_good_ones_count():
    bad_state, unknown, future = row("snowed"), row("snowed", segment="soyang-ro-1"), row("snowed", 10_000)
    bad_state["state"] = "slushy"
    content = [bad_state, row("snowed"), unknown, future, 7, None, {**row("snowed"), "by": "mayor"}]
    outcome = observe(given(road()), [message(9, content)])
    assert outcome.rows == 1
    refused = {rejection.id: (rejection.reason, orjson.loads(rejection.data)) for rejection in outcome.rejections}
    assert refused["road-9-malformed-row"][1] == [bad_state, 7, None, {**row("snowed"), "by": "mayor"}]
    assert refused["road-9-malformed-row"][0].startswith("state: Input should be 'bare'")
    assert refused["road-9-unknown-segment"][1] == [unknown]
    assert refused["road-9-future-time"][1] == [future]
    assert {(r.entity, r.sequence, r.content_type) for r in outcome.rejections} == {
        ("jungang-ro", 9, "application/json")
    }


def test_other_kinds_roads_and_payloads_are_refused_whole():
    bad = [
        message(1, [row("snowed")], kind="readings"),
        message(2, [row("snowed")], road_id="soyang-ro"),
        message(3, b"\x00{"),
        message(4, 7),
    ]
    outcome = observe(given(road()), bad)
    assert [rejection.id for rejection in outcome.rejections] == [
        "road-1-unknown-kind",
        "road-2-unknown-road",
        "road-3-undecodable",
        "road-4-undecodable",
    ]
    assert [rejection.data for rejection in outcome.rejections] == [observed.data for observed in bad]
    assert (outcome.end, outcome.rows, outcome.events) == (Position(4, 0), 0, [])


def test_a_time_beyond_the_calendar_is_refused():
    content = {**row("snowed"), "changed_at": "9999-12-31T23:59:59-23:00"}
    (rejection,) = observe(given(road()), [message(1, content)]).rejections
    assert rejection.id == "road-1-malformed-row"


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.sampled_from(["snowed", "jungang-ro-1"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*row("bare"), "x"]), inner),
    max_leaves=12,
)


@for_all(st.binary() | json.map(orjson.dumps))
def test_no_payload_whatever_raises(data):
    outcome = observe(given(road()), [message(1, data)])
    assert outcome.end == Position(1, 0)


@pytest.mark.parametrize("depth", [200, 600, 100_000])
def test_a_payload_nested_ever_so_deep_is_refused(depth):
    (rejection,) = observe(given(road()), [message(1, b"[" * depth + b"]" * depth)]).rejections
    assert rejection.data


def test_a_message_that_exceeds_the_events_of_a_commit_is_cut_between_rows():
    city = given(road())
    content = [row("snowed"), row("cleared", 1), row("snowed", 2), row("cleared", 3)]
    messages = [message(5, [row("bare", -1)]), message(8, content)]
    first = observe(city, messages, max_events=5)
    assert (len(first.events), first.rows, first.end) == (5, 3, Position(5, 2))
    second = observe(city, messages, first.end, max_events=5)
    assert (len(second.events), second.rows, second.end) == (4, 2, Position(8, 0))


def test_parts_of_a_cut_message_refuse_their_rows_under_ids_of_their_own():
    city = given(road())
    messages = [message(3, [7, row("snowed"), row("cleared", 1), 8])]
    first = observe(city, messages, max_events=2)
    second = observe(city, messages, first.end, max_events=2)
    assert [rejection.id for rejection in first.rejections] == ["road-3-malformed-row-0-2"]
    assert [rejection.id for rejection in second.rejections] == ["road-3-malformed-row-2-4"]
    assert [orjson.loads(part.rejections[0].data) for part in (first, second)] == [[7], [8]]


rows = st.builds(
    row,
    st.sampled_from(["bare", "snowed", "planned", "under-way", "cleared"]),
    minutes=st.integers(0, 5),
    segment=st.sampled_from(["jungang-ro-1", "jungang-ro-2", "soyang-ro-1"]),
)
contents = st.lists(rows | st.just(7), max_size=6) | rows | st.just("no row")
batches = st.lists(contents, max_size=8)


@for_all(batches, st.lists(st.integers(0, 8)), st.integers(1, 6))
def test_any_division_of_the_messages_gives_the_same_state_events_and_refused_rows(batches, cuts, max_events):
    messages = [message(2 * number + 1, content) for number, content in enumerate(batches)]
    whole, divided = given(road()), given(road())
    expected = observe(whole, messages)
    events, refused, good, position = [], [], 0, Position()
    ends = [*sorted({cut for cut in cuts if cut < len(messages)}), len(messages)]
    for end in ends:
        last = messages[end - 1].sequence if end else 0
        while position.sequence < last:
            outcome = observe(divided, messages[:end], position, max_events)
            assert outcome.end != position
            assert len(outcome.events) <= max(max_events, 2)
            events += outcome.events
            refused += outcome.rejections
            good += outcome.rows
            position = outcome.end
    assert events == expected.events
    assert good == expected.rows
    assert _refused_rows(refused) == _refused_rows(expected.rejections)
    assert CONTEXT.digest(divided.state) == CONTEXT.digest(whole.state)


def _refused_rows(rejections):
    every = {}
    for rejection in rejections:
        code = "-".join(part for part in rejection.id.split("-")[2:] if not part.isdigit())
        content = orjson.loads(rejection.data)
        every.setdefault((rejection.sequence, code), []).extend(content if isinstance(content, list) else [content])
    return every


def test_a_row_at_which_judging_fails_is_refused_and_the_next_message_counts(monkeypatch):
    def fails(state, road_id, one, at):
        if one.segment.endswith("-2"):
            raise ZeroDivisionError
        return decide_clearing(state, road_id, one, at)

    monkeypatch.setattr("actors.road.observe.decide_clearing", fails)
    rows = [row("snowed", 0, "jungang-ro-2"), row("snowed")]
    outcome = observe(given(road()), [message(1, rows), message(2, [row("cleared", 1)])])
    assert [(one.id, orjson.loads(one.data)) for one in outcome.rejections] == [("road-1-malformed-row", rows[:1])]
    assert "ZeroDivisionError" in outcome.rejections[0].reason
    assert (outcome.rows, outcome.end) == (2, Position(2, 0))
