"""The API's description of itself."""

from openapi_spec_validator import validate

from schemas import tables
from serve.auth import ALLOWED
from serve.openapi import row


async def test_the_document_is_valid_openapi_3_1(client):
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    validate(document)


async def test_every_operation_says_what_it_answers_its_problems_and_its_roles(client):
    document = (await client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert "default" in operation["responses"], path
            assert any(code.startswith("2") for code in operation["responses"]), path
            protected = {} not in operation["security"]
            assert protected == ("*" not in ALLOWED[method.upper(), path])


async def test_every_schema_has_an_example(client):
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("Facility", "Sensor", "Alarm", "Segment", "Work", "SnowEvent", "HistoryItem", "Reading"):
        assert schemas[name]["example"], name


def test_a_row_of_every_published_table_can_be_described():
    for published in tables.PUBLISHED.values():
        for schema in published.values():
            assert set(row(schema, "x")["properties"]) == set(schema.names)


async def test_the_docs_page_loads_nothing_from_another_host(client):
    page = (await client.get("/docs")).text
    assert "http" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/{name}" in page
        assert (await client.get(f"/docs/{name}")).status_code == 200
    assert (await client.get("/docs/other.js")).status_code == 422


async def test_the_docs_page_shows_the_document(client):
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "/openapi.json" in page.text
