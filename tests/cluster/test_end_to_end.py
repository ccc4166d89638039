"""A sensor's reading becomes an alarm on HTTP and NATS, through a real nats-server, Ray and Serve."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import nats
import paho.mqtt.client as mqtt
import polars as pl
import pytest

from actors.archiving import archivist
from actors.meters import METRICS, exported
from serve import measuring, nats_metrics
from serve.app import Config
from streams import credentials
from streams.subjects import log_stream, log_subject, partition
from tests.cluster.running import Running

pytestmark = pytest.mark.cluster

BRIDGE = {"name_ko": "시험교", "name_en": "Test Bridge", "kind": "bridge", "grade": "C", "synthetic": True}
LIMITS = [
    {"condition": "high", "level": "warning", "on": 1.0, "off": 0.8},
    {"condition": "high", "level": "danger", "on": 2.0, "off": 1.8},
]


def register(city: Running, facility: str, sensor: str) -> None:
    safety = city.token("safety")
    assert city.api.put(f"/v1/facilities/{facility}", json=BRIDGE, headers=safety).status_code == 200
    facts = {"kind": "tilt", "unit": "mm/m", "limits": LIMITS, "synthetic": True}
    answer = city.api.put(f"/v1/facilities/{facility}/sensors/{sensor}", json=facts, headers=safety)
    assert answer.status_code == 200, answer.text
    city.get(f"/v1/facilities/{facility}", min_position=answer.json()["position"])


def reading(sensor: str, value: float, sequence: int) -> dict[str, Any]:
    time = datetime.now(UTC) - timedelta(seconds=1)
    return {"sensor": sensor, "time": time.isoformat(), "value": value, "sequence": sequence}


def alarms(city: Running, facility: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = city.get("/v1/alarms", facility=facility)["items"]
    return items


async def test_a_reading_over_http_is_an_alarm_over_http_and_at_a_nats_subscriber(city: Running) -> None:
    register(city, "http-bridge", "http-bridge-tilt")
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}")
    heard = await nc.subscribe("city.pub.facility.http-bridge.>")
    await nc.flush()
    device = city.token("device", facility="http-bridge")
    answer = city.api.post("/v1/readings", json=reading("http-bridge-tilt", 2.5, 1), headers=device)
    assert answer.status_code == 202, answer.text
    position = answer.json()["position"]
    facility = city.get("/v1/facilities/http-bridge", min_position=position)
    assert facility["risk"] == "danger"
    assert {alarm["level"] for alarm in facility["alarms"]} == {"warning", "danger"}
    raised = await heard.next_msg(10)
    assert raised.headers is not None
    assert raised.headers["ce-type"] == "city.facility.alarm-raised.v1"
    assert json.loads(raised.data)["synthetic"] is True
    await nc.close()


async def test_a_reading_over_mqtt_and_one_over_nats_count_like_one_over_http(city: Running) -> None:
    register(city, "mqtt-bridge", "mqtt-bridge-tilt")
    device = await asyncio.to_thread(credentials.add, city.folder, "device", "mqtt-device", ("mqtt-bridge",))
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="mqtt-device")
    client.username_pw_set(device.user, device.password)
    client.connect("127.0.0.1", city.ports.mqtt)
    client.loop_start()
    payload = json.dumps(reading("mqtt-bridge-tilt", 1.5, 1))
    client.publish("city/raw/facility/mqtt-bridge/readings", payload, qos=1).wait_for_publish(10)
    client.loop_stop()
    city.until(lambda: [alarm["level"] for alarm in alarms(city, "mqtt-bridge")] == ["warning"])
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **device.options())
    await nc.request("city.raw.facility.mqtt-bridge.readings", json.dumps(reading("mqtt-bridge-tilt", 2.5, 2)).encode())
    await nc.close()
    city.until(lambda: {alarm["level"] for alarm in alarms(city, "mqtt-bridge")} == {"warning", "danger"})
    await asyncio.to_thread(credentials.revoke, city.folder, "device", "mqtt-device")


def test_a_write_with_a_key_gives_the_first_answer_again_and_refuses_another_body(city: Running) -> None:
    headers = {**city.token("safety"), "idempotency-key": "once"}
    first = city.api.put("/v1/facilities/keyed", json=BRIDGE, headers=headers)
    again = city.api.put("/v1/facilities/keyed", json=BRIDGE, headers=headers)
    assert (first.status_code, again.json()) == (200, first.json())
    other = city.api.put("/v1/facilities/keyed", json={**BRIDGE, "grade": "D"}, headers=headers)
    assert other.status_code == 422
    elsewhere = city.api.put("/v1/facilities/another", json=BRIDGE, headers=headers)
    assert elsewhere.status_code == 422
    assert elsewhere.headers["content-type"] == "application/problem+json"


def test_an_alarm_is_acknowledged_and_its_past_is_read_as_of_then(city: Running) -> None:
    register(city, "past-bridge", "past-bridge-tilt")
    device = city.token("device", facility="past-bridge")
    sent = city.api.post("/v1/readings", json=reading("past-bridge-tilt", 1.5, 1), headers=device).json()
    (alarm,) = city.get("/v1/facilities/past-bridge", min_position=sent["position"])["alarms"]
    before = datetime.now(UTC)
    answer = city.api.post(f"/v1/alarms/{alarm['alarm']}/acknowledge", json={}, headers=city.token("safety"))
    assert answer.status_code == 200, answer.text
    now = city.get("/v1/facilities/past-bridge", min_position=answer.json()["position"])
    assert now["alarms"][0]["state"] == "acknowledged"
    then = city.get("/v1/facilities/past-bridge", as_of=before.isoformat())
    assert then["alarms"][0]["state"] == "active"
    kinds = [item["type"] for item in city.get("/v1/facilities/past-bridge/history")["items"]]
    assert "city.facility.alarm-acknowledged.v1" in kinds


def test_the_live_stream_resumes_behind_the_last_event_seen(city: Running) -> None:
    def listen(headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
        with city.api.stream("GET", "/v1/live", params={"entity": "live-bridge"}, headers=headers) as stream:
            assert stream.status_code == 200
            if not headers:
                register(city, "live-bridge", "live-bridge-tilt")
            fields: dict[str, str] = {}
            for line in stream.iter_lines():
                name, _, value = line.partition(": ")
                fields[name] = value
                if "id" in fields and "data" in fields:
                    return fields["id"], json.loads(fields["data"])
        raise AssertionError("the stream ended")

    last, _ = listen({})
    city.api.post(
        "/v1/readings",
        json=reading("live-bridge-tilt", 1.5, 1),
        headers=city.token("device", facility="live-bridge"),
    )
    city.until(lambda: alarms(city, "live-bridge"))
    after, event = listen({"last-event-id": last})
    assert int(after) > int(last)
    assert "raised" in json.dumps(event) or event


def test_every_documented_metric_is_there_once_something_has_happened(city: Running) -> None:
    register(city, "metric-bridge", "metric-bridge-tilt")
    device = city.token("device", facility="metric-bridge")
    sent = reading("metric-bridge-tilt", 1.5, 1)
    unknown = {**sent, "unit": "furlong"}
    assert city.api.post("/v1/readings", json=[sent, {**unknown, "sequence": 2}], headers=device).status_code == 202
    assert city.api.post("/v1/readings", content=b"x" * 9_000_000, headers=device).status_code == 413
    wanted = {exported(metric) for metric in (*METRICS, *measuring.METRICS, *archivist.METRICS)}

    def missing() -> set[str]:
        text = city.api.get("/metrics").text
        return {name for name in wanted if f"\n{name}{{" not in text}

    city.until(lambda: not missing(), 60)
    text = city.api.get("/metrics").text
    assert [metric.name for metric in nats_metrics.METRICS if f"\n{exported(metric)}" not in text] == []
    (line,) = [
        one
        for one in text.splitlines()
        if one.startswith("ray_bomnae_http_requests_total{") and 'route="/v1/readings"' in one and 'status="202"' in one
    ]
    assert float(line.rsplit(" ", 1)[1]) >= 1


def test_the_ingress_itself_counts_what_it_passes_on(city: Running) -> None:
    def told() -> dict[str, float]:
        lines = httpx.get(f"http://127.0.0.1:{city.ingress_port}/metrics").text.splitlines()
        split = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in split}

    well = 'haproxy_backend_http_responses_total{proxy="http-api",code="2xx"}'
    before = told()[well]
    assert city.api.get("/v1/models").status_code == 200
    city.until(lambda: told()[well] > before)
    assert 'haproxy_backend_total_time_average_seconds{proxy="http-api"}' in told()


def test_each_address_has_its_own_allowance_and_nobody_forges_another(city: Running) -> None:
    def streams(address: str) -> list[int]:
        codes = []
        with contextlib.ExitStack() as stack:
            transport = httpx.HTTPTransport(local_address=address)
            client = stack.enter_context(httpx.Client(base_url=city.base, transport=transport, timeout=30))
            for number in range(Config().live_per_client + 1):
                forged = {"x-forwarded-for": f"10.0.0.{number}"}
                codes.append(stack.enter_context(client.stream("GET", "/v1/live", headers=forged)).status_code)
        return codes

    most = [200] * Config().live_per_client
    assert streams("127.0.0.2") == [*most, 429]
    assert streams("127.0.0.3") == [*most, 429]


async def test_the_trace_of_a_request_is_on_the_stored_event_and_in_the_feed(city: Running) -> None:
    register(city, "traced-bridge", "traced-bridge-tilt")
    traces = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2)]
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}")
    heard = await nc.subscribe("city.pub.facility.traced-bridge.*")
    await nc.flush()
    begun = city.api.post(
        "/v1/facilities/traced-bridge/maintenance",
        json={"reason": "점검"},
        headers={**city.token("safety"), "traceparent": traces[0]},
    )
    assert begun.status_code == 200
    command = await heard.next_msg(10)
    safety = city.token("safety")
    assert city.api.delete("/v1/facilities/traced-bridge/maintenance", headers=safety).status_code == 200
    assert "traceparent" not in ((await heard.next_msg(10)).headers or {})
    device = {**city.token("device", facility="traced-bridge"), "traceparent": traces[1]}
    sent = city.api.post("/v1/readings", json=reading("traced-bridge-tilt", 1.5, 1), headers=device)
    assert sent.status_code == 202
    observed = await heard.next_msg(10)
    await nc.close()
    found = [((one.headers or {})["ce-type"], (one.headers or {})["traceparent"]) for one in (command, observed)]
    assert found == [
        ("city.facility.maintenance-begun.v1", traces[0]),
        ("city.facility.alarm-raised.v1", traces[1]),
    ]
    operator = credentials.local(city.folder, "operator")
    nc = await nats.connect(f"nats://127.0.0.1:{city.ports.nats}", **operator.options())
    stored = [
        (await nc.jetstream().get_last_msg(log_stream("facility", shard), subject)).headers
        for event in ("maintenance-begun", "alarm-raised")
        for shard in [partition("traced-bridge", city.settings.facility_shards)]
        for subject in [log_subject("facility", shard, "traced-bridge", event)]
    ]
    await nc.close()
    assert [(headers or {}).get("traceparent") for headers in stored] == traces


def test_readings_under_a_key_give_their_first_answer_also_when_the_shards_were_killed(city: Running) -> None:
    register(city, "once-bridge", "once-bridge-tilt")
    headers = {**city.token("device", facility="once-bridge"), "idempotency-key": "readings-1"}
    body = reading("once-bridge-tilt", 0.5, 1)
    first = city.api.post("/v1/readings", json=body, headers=headers)
    assert first.status_code == 202, first.text
    city.kill("ShardActor")

    def again() -> httpx.Response | None:
        answer = city.api.post("/v1/readings", json=body, headers=headers)
        return answer if answer.status_code != 503 else None

    answer = city.until(again)
    assert (answer.json(), answer.headers["idempotency-replayed"]) == (first.json(), "true")
    assert city.api.post("/v1/readings", json={**body, "value": 0.6}, headers=headers).status_code == 422
    city.until(lambda: city.get("/readyz"))
    (sensor,) = city.get("/v1/sensors/latest", facility="once-bridge", min_position=first.json()["position"])["items"]
    assert (sensor["count"], sensor["duplicates"]) == (1, 0)


def test_what_happened_a_moment_ago_is_in_its_statistics_and_soon_in_the_archive(city: Running) -> None:
    register(city, "told-bridge", "told-bridge-tilt")
    device = city.token("device", facility="told-bridge")
    rows = [reading("told-bridge-tilt", value, number) for number, value in enumerate((0.1, 0.2, 2.4), 1)]
    assert city.api.post("/v1/readings", json=rows, headers=device).status_code == 202

    def told(statistic: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = city.get(f"/v1/statistics/{statistic}", facility="told-bridge")["rows"]
        return found

    city.until(lambda: [one["readings"] for one in told("readings")] == [3])
    assert [(one["max"], one["synthetic"]) for one in told("readings")] == [(2.4, True)]
    assert [one["readings"] for one in told("trend")] == [3]
    assert [(one["alarms"], one["danger"]) for one in told("alarms")] == [(2, 1)]
    picture = city.api.get("/v1/statistics/readings", params={"facility": "told-bridge", "format": "png"})
    assert picture.content.startswith(b"\x89PNG")
    home = city.folder / "archive" / "readings"
    mine = pl.col("facility") == "told-bridge"
    city.until(lambda: home.exists() and len(pl.scan_delta(str(home)).filter(mine).collect()) == 3, 60)
    assert [one["readings"] for one in told("readings")] == [3], "each once, wherever it lies"
