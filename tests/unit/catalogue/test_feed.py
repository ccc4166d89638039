"""What of datasets citizens and staff hear on the feed."""

import orjson
import pytest

from schemas.catalogue import EVENTS, DatasetRegistered, DatasetRetired
from streams.feed import messages, project
from tests.unit.batches import batch_of
from tests.unit.catalogue.context.scenario import (
    HTTP,
    NOON,
    STOPS,
    A,
    brought,
    connected,
    failed,
    given,
    refresh,
    register,
    retire,
    unchanged,
)

PUBLIC = {
    "columns-changed",
    "dataset-refreshed",
    "provider-failed",
    "provider-restored",
    "dataset-late",
    "dataset-opened",
    "dataset-closed",
    "dataset-retired",
}


def told(event):
    return dict(project(event))


def test_citizens_hear_how_a_dataset_fares_and_staff_hear_everything():
    names = {kind.type.split(".")[2] for kind in EVENTS}
    assert names - PUBLIC == {"dataset-registered", "dataset-confirmed", "versions-dropped"}
    assert names > PUBLIC


def test_how_a_dataset_is_connected_is_not_for_citizens():
    (event,) = given().when(register(connector=HTTP)).events
    assert isinstance(event, DatasetRegistered)
    assert set(told(event)) == {"staff"}
    assert told(event)["staff"]["facts"]["connector"]["url"] == HTTP.url


def test_citizens_hear_that_a_provider_is_down_and_staff_why():
    (event,) = given(connected()).when(failed(reason="503 of 10.0.0.7")).events
    assert told(event)["pub"] == {"at": "2026-01-15T03:02:00Z", "dataset": STOPS}
    assert told(event)["staff"]["reason"] == "503 of 10.0.0.7"


def test_citizens_hear_why_a_dataset_was_retired_but_not_by_whom():
    (event,) = given(register()).when(retire()).events
    assert isinstance(event, DatasetRetired)
    assert told(event)["staff"]["by"] == "operator"
    assert told(event)["pub"] == {name: value for name, value in told(event)["staff"].items() if name != "by"}


def test_a_refresh_is_told_to_citizens_as_it_is_and_a_confirmation_is_not():
    city = given(connected())
    (event,) = city.when(refresh()).events
    assert told(event)["pub"]["refresh"] == brought(A).model_dump(mode="json")
    (event,) = city.when(unchanged()).events
    assert set(told(event)) == {"staff"}


@pytest.mark.parametrize("audience", ["pub", "staff"])
def test_an_event_travels_on_the_subject_of_its_dataset(audience):
    (event,) = given(register(citizens_from=NOON.date())).when_it_is(NOON).events
    found = {message.subject: message.data for message in messages(batch_of([event]))}
    data = orjson.loads(found[f"city.{audience}.catalogue.{STOPS}.dataset-opened"])
    assert (data["audience"], data["day"]) == ("citizen", "2026-01-15")
