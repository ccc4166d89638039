"""How Serve's HAProxy ingress is set up for one instance among several on a machine.

Ray reads these variables when `ray.serve` is first imported, in every process of the cluster.
"""

import secrets
import socket
import tempfile
from pathlib import Path

from schemas.settings import Settings
from serve import problems

MESSAGE = 32 << 20
"""Bytes of one call between replicas; the largest are pictures, which have 16 MB at most."""


def environment(settings: Settings) -> dict[str, str]:
    """The variables that must be set before Ray starts.

    Ports of 0 are chosen free; the sockets lie in a new folder below the system's temporary one, because a
    socket's path may have 107 characters at most.
    """
    folder = Path(tempfile.mkdtemp(prefix="bomnae-"))
    metrics, stats, fallback, first = free_ports(4)
    first = settings.replica_port_first or first
    away = folder / "away.http"
    away.write_bytes(_away())
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # A line of each request to a process in Python, which counts what HAProxy itself counts for Prometheus (at the
        # port below): a fortieth of a core at 180 requests a second.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        # Ten times a second by default, which is 4 % of a core: it is no part of any request's way.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
        # What `ray list tasks` would show: every call told to a server twice, for a dashboard that is not there.
        "RAY_task_events_report_interval_ms": "0",
        # Replicas ask each other by gRPC, which takes 4 MB by default: less than a photograph has.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(MESSAGE),
        # An honest 503 (a position not yet readable) must never take a replica out: docs/decisions/0007.
        "RAY_SERVE_HAPROXY_OBSERVE_MARK_DOWN_ENABLED": "0",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(settings.haproxy_metrics_port or metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(settings.haproxy_stats_port or stats),
        # Serve shares this port with whoever has it: an ingress without replicas would pass requests to another city.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        # Ray's template has no word for it, so it rides on the line of another option: the ingress appends to
        # X-Forwarded-For whom it hears, and the app counts it among the proxies that it believes.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure\n    option forwardfor",
        "RAY_SERVE_HAPROXY_INGRESS_RETRY_ON": "conn-failure",
        # The same way behind the template's own lines, by which a plain 500 stands for a replica that is away.
        "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": "\n    errorfile ".join(
            ["leastconn", *(f"{status} {away}" for status in (502, 503, 504))]
        ),
        "BOMNAE_TRUSTED_PROXIES": str(settings.trusted_proxies + 1),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "5",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(min(first + settings.replica_ports, 65_535)),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # The system keeps a killed replica's port for the minute of TIME_WAIT. Serve gives it to the next replica after
        # 35 s by default, finds it taken, and never uses it again: after as many kills as ports, none could start.
        "RAY_SERVE_PORT_QUARANTINE_S": "65",
    }


def _away() -> bytes:
    """What HAProxy answers, as a whole, when it has no replica to pass a request to, or lost the one that had it."""
    detail = "no replica of the API is there just now: repeat the request, a write under its Idempotency-Key"
    answer = problems.response(503, "unavailable", detail, headers={"retry-after": "2"})
    head = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in answer.raw_headers)
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + bytes(answer.body)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on just now, all different, below those that outgoing connections take.

    The listener binds them seconds later: a port that the system gives to any connection would often be gone by then.
    """
    found: set[int] = set()
    while len(found) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.add(port)
    return list(found)
