"""A case's ledger over HTTP: every look is in it before its answer."""

import csv
import io

import pytest

from schemas.errors import UnavailableError
from tests.unit.api.cases.conftest import (
    AUDITOR,
    KIM,
    found,
    ledger,
    opened,
)
from tests.unit.api.conftest import bearer


async def test_every_look_is_in_the_ledger_before_its_answer_and_the_look_at_the_ledger_too(streets, case, backend):
    await found(streets, case)
    for what in ("", "/candidates", "/route", "/pictures/cam-1.s-1", "/watches"):
        assert (await streets.get(f"{case}{what}", headers=KIM)).status_code == 200
    entries = await ledger(streets, case)
    assert [what for name, by, what in entries if name == "view-recorded" and by == "kim"] == [
        "case",
        "candidates",
        "route",
        "picture",
        "case",
    ]
    assert entries[-1] == ("view-recorded", "auditor-jo", "ledger")


@pytest.mark.parametrize("what", ["", "/candidates", "/route", "/pictures/cam-1.s-1", "/watches", "/ledger"])
async def test_without_its_entry_in_the_ledger_nothing_is_shown(streets, case, backend, monkeypatch, what):
    await found(streets, case)
    submit = backend.submit

    async def away(*args):
        raise UnavailableError("the log is away")

    monkeypatch.setattr(backend, "submit", away)
    answer = await streets.get(f"{case}{what}", headers=KIM)
    monkeypatch.setattr(backend, "submit", submit)
    assert answer.status_code == 503
    assert "cam-1" not in answer.text.replace(f"{case}{what}", "")


async def test_the_ledger_is_exported_as_csv_that_no_spreadsheet_takes_for_formulas(streets, case):
    headers = bearer("case-officer", subject="=cmd")
    path = await opened(streets, headers, officer="=cmd")
    answer = await streets.get(f"{path}/ledger", params={"format": "csv"}, headers=AUDITOR)
    assert answer.headers["content-type"].startswith("text/csv")
    assert path.rpartition("/")[2] in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["type"] for row in rows] == ["city.person.case-opened.v1", "city.person.view-recorded.v1"]
    assert [row["by"] for row in rows] == ["'=cmd", "auditor-jo"]
    assert "미귀가" in rows[0]["data"]


async def test_a_ledger_comes_in_pages(streets, case):
    await found(streets, case)
    first = (await streets.get(f"{case}/ledger", params={"limit": 2}, headers=AUDITOR)).json()
    rest = (await streets.get(f"{case}/ledger", params={"cursor": first["next"]}, headers=AUDITOR)).json()
    types = [one["type"].split(".")[2] for one in first["items"] + rest["items"]]
    assert types == ["case-opened", "case-authorised", "search-recorded", "view-recorded", "view-recorded"]
