"""Requests about datasets that several tests make, and who makes them."""

from typing import Any

from httpx import AsyncClient, Response

from tests.unit.api.conftest import OPERATOR, Headers, bearer
from tests.unit.catalogue.service.declared import ROWS

STAFF = bearer("staff", subject="park")
NOBODY: Headers = {}
PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def declare(client: AsyncClient, dataset: str, declared: Any) -> Response:
    body = declared if isinstance(declared, dict) else declared.model_dump(mode="json")
    answer = await client.put(f"/v1/datasets/{dataset}", json=body, headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    return answer


async def bring(
    client: AsyncClient, dataset: str, data: str | bytes = ROWS, kind: str = "text/csv", **asked: Any
) -> Response:
    content = data.encode() if isinstance(data, str) else data
    headers = OPERATOR | {"content-type": kind}
    return await client.post(f"/v1/datasets/{dataset}/rows", content=content, headers=headers, params=asked)


async def told(client: AsyncClient, path: str, headers: Headers = NOBODY) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(client: AsyncClient, query: str = "", dataset: str = "stops", headers: Headers = NOBODY) -> Any:
    return await told(client, f"/v1/datasets/{dataset}/rows?{query}", headers)


async def ids(client: AsyncClient, query: str = "") -> list[str]:
    return [one["stop"] for one in (await rows(client, query))["rows"]]


async def refused(client: AsyncClient, path: str, status: int = 422, headers: Headers = NOBODY) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def asked_now(client: AsyncClient, dataset: str = "stops") -> tuple[int, str | None]:
    answer = await client.post(f"/v1/datasets/{dataset}/refresh", headers=OPERATOR)
    return answer.status_code, answer.json().get("outcome")
