import re
from pathlib import Path
from typing import Any, get_args

import pytest

from streams.permissions import OPERATOR_ASKS, Grant, Kind, accounts, anonymous, grant, inbox, user_name
from streams.topology import table

CASES = ("case-1", "case-2")
ENTITIES: dict[Kind, tuple[str, ...]] = {
    "device": ("bridge-1",),
    "gateway": ("main-road",),
    "camera": ("cam-1",),
    "provider": ("stops", "lamps"),
    "officer": CASES,
}
INSIDERS = {"host", "operator", "backup", "feed-admin", "system"}
GIVEN_OUT: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in INSIDERS)
"""To outsiders: also every kind that is still to come."""


def granted(kind: Kind) -> Grant:
    return grant(kind, "x", ENTITIES.get(kind, ()))


@pytest.mark.parametrize("kind", GIVEN_OUT)
def test_nobody_outside_shares_an_account_with_the_log(kind: Kind) -> None:
    assert granted(kind).account not in {"CITY", "SYS"}
    assert anonymous().account == "PUBLIC"


@pytest.mark.parametrize("kind", GIVEN_OUT)
def test_every_subject_that_an_outsider_may_ask_or_hear_is_narrow(kind: Kind) -> None:
    allowed = granted(kind)
    own = inbox(user_name(kind, "x"))
    for subject in allowed.subscribe:
        assert subject in {"city.pub.>", "city.staff.>", *(f"city.case.{case}.>" for case in CASES), f"{own}.>"}
    for subject in allowed.publish:
        asks = r"\$JS\.(API\.CONSUMER\.\w+(\.NEXT)?|ACK|FC)\.(FEED\.(staff-)?app-x|CASES\.officer-x)"
        assert re.match(rf"city\.raw\.|{asks}", subject)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_only_devices_and_gateways_come_in_over_mqtt_and_no_insider_over_the_websocket(kind: Kind) -> None:
    allowed = granted(kind)
    assert ("MQTT" in allowed.connections) is (kind in {"device", "gateway"})
    assert ("WEBSOCKET" in allowed.connections) is (kind in GIVEN_OUT)


def test_an_operator_that_is_given_out_is_not_the_nodes_own_and_has_no_word_on_persons() -> None:
    handed, own = grant("operator", "ops"), grant("operator", "local")
    assert (own.account, own.publish) == ("CITY", (">",))
    assert handed.account == "OPS"
    said = " ".join((*handed.publish, *handed.subscribe))
    assert not re.search(r"PERSON|SIGHTING|CASES|SNAPSHOT|CREATE|UPDATE|DELETE|PURGE|RESTORE|LOG_|case|log|raw", said)
    assert not [subject for subject in handed.publish if "*" in subject or ">" in subject]
    assert set(handed.subscribe) == {"city.pub.>", "city.staff.>", "city.rejected.>", "_INBOX_operator-ops.>"}


@pytest.mark.parametrize("count", [0, 2])
def test_a_device_speaks_for_exactly_one_facility(count: int) -> None:
    with pytest.raises(ValueError, match="unpack"):
        grant("device", "x", ("bridge",) * count)


def test_a_camera_speaks_as_itself_and_a_gateway_of_cameras_in_its_own_name() -> None:
    assert granted("camera").publish == ("city.raw.sighting.cam-1.sightings",)
    assert granted("camera-gateway").publish == ("city.raw.sighting.*.gw-x",)


def test_a_provider_sends_rows_of_its_own_datasets_alone() -> None:
    assert granted("provider").publish == ("city.raw.catalogue.stops.rows", "city.raw.catalogue.lamps.rows")
    others = [kind for kind in GIVEN_OUT if kind != "provider"]
    assert not [subject for kind in others for subject in granted(kind).publish if "catalogue" in subject]


@pytest.mark.parametrize("kind", [kind for kind in GIVEN_OUT if not kind.startswith("camera")])
def test_nobody_else_outside_sends_sightings(kind: Kind) -> None:
    assert not [subject for subject in granted(kind).publish if "sighting" in subject]


def test_an_app_has_no_right_on_staff_subjects() -> None:
    allowed = granted("app")
    assert not [subject for subject in (*allowed.publish, *allowed.subscribe) if "staff" in subject]


@pytest.mark.parametrize("kind", [kind for kind in GIVEN_OUT if kind != "officer"])
def test_nobody_but_an_officer_has_a_right_on_a_case(kind: Kind) -> None:
    allowed = granted(kind)
    assert not [subject for subject in (*allowed.publish, *allowed.subscribe) if "case" in subject.lower()]


def test_an_officer_has_an_account_of_its_own_and_makes_no_consumer() -> None:
    kim, lee = grant("officer", "kim", ("case-1",)), grant("officer", "lee", ("case-2",))
    assert (kim.account, lee.account) == ("POLICE_kim", "POLICE_lee")
    assert set(kim.subscribe) == {"city.case.case-1.>", "_INBOX_officer-kim.>"}
    assert not [subject for subject in kim.publish if "CREATE" in subject]


def test_an_account_of_an_officer_takes_in_its_own_cases_and_its_own_consumer_alone() -> None:
    blocks: dict[str, Any] = accounts({}, {"kim": ("case-1",), "lee": ("case-2", "case-3")})
    taken = [(kind, one[kind]) for one in blocks["POLICE_lee"]["imports"] for kind in one]
    subjects = {(kind, one["subject"]) for kind, one in taken if one["account"] == "CITY"}
    assert subjects == {
        ("stream", "city.case.case-2.>"),
        ("stream", "city.case.case-3.>"),
        ("service", "$JS.API.CONSUMER.INFO.CASES.officer-lee"),
        ("service", "$JS.API.CONSUMER.MSG.NEXT.CASES.officer-lee"),
        ("service", "$JS.ACK.CASES.officer-lee.>"),
    }
    given_out = [one for one in blocks["CITY"]["exports"] if "POLICE_kim" in one["accounts"]]
    assert len(given_out) == 4
    assert all(set(one["accounts"]) == {"POLICE_kim", "POLICE_lee"} for one in given_out)
    assert "jetstream" not in blocks["POLICE_kim"]


def test_an_empty_list_of_subjects_denies_all() -> None:
    config = anonymous().to_config()
    assert config["permissions"]["publish"] == {"deny": [">"]}
    assert config["permissions"]["subscribe"] == {"allow": ["city.pub.>"]}


def test_the_city_gives_other_accounts_input_live_events_and_the_mirror_alone() -> None:
    blocks: dict[str, Any] = accounts({})
    exported = {
        (export.get("service") or export["stream"], tuple(export["accounts"])) for export in blocks["CITY"]["exports"]
    }
    assert exported == {
        ("city.raw.>", ("EDGE",)),
        ("city.pub.>", ("APPS", "OPS", "PUBLIC")),
        ("city.staff.>", ("APPS", "OPS")),
        ("city.rejected.>", ("OPS",)),
        *((f"$JS.API.{asked}", ("OPS",)) for asked in OPERATOR_ASKS),
        ("$JS.API.CONSUMER.CREATE.FEED", ("APPS",)),
        ("$JS.FC.>", ("APPS",)),
        ("mirror.feed.>", ("APPS",)),
    }
    assert "imports" not in blocks["CITY"]
    assert blocks["EDGE"]["imports"] == [{"service": {"account": "CITY", "subject": "city.raw.>"}}]


def test_the_table_of_retention_in_the_documentation_is_the_one_in_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()
    assert table() in page
