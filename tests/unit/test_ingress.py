from pathlib import Path

import orjson
import pytest

from schemas.settings import Settings
from serve import ingress

TIME_WAIT_S = 60
"""How long Linux keeps the port of a connection that the killed side had (`TCP_TIMEWAIT_LEN` in net/tcp.h)."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What Serve is told, without looking for free ports: no sockets here."""
    monkeypatch.setattr(ingress, "free_ports", lambda count: list(range(20_000, 20_000 + count)))
    monkeypatch.setattr(ingress.tempfile, "mkdtemp", lambda **_: str(tmp_path))
    return ingress.environment(Settings())


def test_a_killed_replicas_port_is_given_on_only_after_the_system_has_let_it_go(told: dict[str, str]) -> None:
    assert float(told["RAY_SERVE_PORT_QUARANTINE_S"]) > TIME_WAIT_S


def test_replicas_that_die_every_second_do_not_run_out_of_ports(told: dict[str, str]) -> None:
    ports = int(told["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"]) - int(told["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"])
    assert ports > float(told["RAY_SERVE_PORT_QUARANTINE_S"])


def test_a_replica_that_is_away_is_told_as_a_problem_document(told: dict[str, str], tmp_path: Path) -> None:
    lines = told["RAY_SERVE_HAPROXY_BALANCE_ALGORITHM"].splitlines()
    assert lines == ["leastconn", *(f"    errorfile {status} {tmp_path}/away.http" for status in (502, 503, 504))]
    head, _, body = (tmp_path / "away.http").read_bytes().partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ") for line in headers)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert (fields["content-type"], fields["retry-after"]) == ("application/problem+json", "2")
    assert int(fields["content-length"]) == len(body)
    assert orjson.loads(body)["type"] == "urn:bomnae:problem:unavailable"
