"""Datasets that a database gives, asked in a process of its own."""

import sqlite3
import time

import orjson
import pytest

from schemas.dataset import FromDatabase
from schemas.errors import UnavailableError
from schemas.settings import secret
from serve.catalogue.querying import queried
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import LAMPS, STOP

URI = "BOMNAE_KEY_STOPS_DB"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS stop, 0 AS lamps FROM n"


@pytest.fixture
def database(tmp_path, monkeypatch):
    path = tmp_path / "city.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE stops (stop TEXT, lamps INTEGER)")
        connection.execute("INSERT INTO stops VALUES ('A1', 2), ('A2', 0)")
    monkeypatch.setenv(URI, f"sqlite://{path}")
    return path


def declared(query="SELECT * FROM stops ORDER BY stop"):
    named = STOP.model_copy(update={"source": None})
    return facts(columns=(named, LAMPS), connector=FromDatabase(uri_env=URI, query=query), interval_s=3_600)


async def test_a_database_is_asked_at_its_interval(city, database):
    await city.declare(declared=declared())
    assert [await city.look(), await city.look()] == [1, 0]
    assert (await city.rows()).select("stop", "lamps").rows() == [("A1", 2), ("A2", 0)]
    city.backend.pass_time(1.1)
    assert await city.look() == 1
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO stops VALUES ('A3', 1)")
    city.backend.pass_time(1.1)
    assert await city.look() == 1
    assert city.one().newest.rows == 3
    assert await city.kinds() == ["dataset-registered", "dataset-refreshed", "dataset-confirmed", "dataset-refreshed"]
    assert str(database) not in str([item.data for item in await city.backend.history("catalogue", "stops", 0, 99)])


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT * FROM ghosts", "the database gives nothing"),
        ("DELETE FROM stops", "reads (SELECT), and changes nothing"),
        ("  -- a remark\nDROP TABLE stops", "reads (SELECT), and changes nothing"),
    ],
)
async def test_a_query_that_fails_or_changes_something_is_told(city, database, query, why):
    await city.declare(declared=declared(query))
    await city.look()
    assert why in city.one().row["down_why"]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM stops").fetchone() == (2,)


async def test_a_database_whose_address_is_missing_or_wrong_is_told_without_it(city, monkeypatch, caplog):
    await city.declare(declared=declared())
    await city.look()
    assert URI in city.one().row["down_why"]
    monkeypatch.setenv(URI, "nosuch://kim:hidden@127.0.0.1:1/db")
    city.backend.pass_time(1)
    await city.look()
    assert "the database gives nothing" in city.one().row["down_why"]
    events = [item.data for item in await city.backend.history("catalogue", "stops", 0, 99)]
    assert "hidden" not in caplog.text + orjson.dumps(events).decode()


async def test_a_result_that_is_too_large_is_told(city, database):
    city.come_from(most=10)
    await city.declare(declared=declared())
    await city.look()
    assert "10 are read: ask for fewer" in city.one().row["down_why"]


async def test_a_database_that_hangs_is_left_after_a_while(database):
    asked, began = FromDatabase(uri_env=URI, query=ENDLESS), time.monotonic()
    with pytest.raises(UnavailableError, match="took more than 3 s"):
        await queried(asked, f"sqlite://{database}", "", 1_000, seconds=3)
    assert time.monotonic() - began < 60


def test_nothing_else_of_the_environment_is_for_connectors(monkeypatch):
    monkeypatch.setenv("BOMNAE_KEY_EMPTY", "")
    assert secret("BOMNAE_KEY_EMPTY") is None
    with pytest.raises(ValueError, match="does not begin with BOMNAE_KEY_"):
        secret("PATH")
