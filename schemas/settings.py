"""Every setting of an instance, read from the environment here and nowhere else.

`docs/settings.md` is `reference()` written to a file; a test compares the two.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65_535)]
CONTEXTS = ("facility", "road", "sighting", "person", "population", "catalogue")
"""Every context that a city has shards of."""

Words = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Settings of one instance, `BOMNAE_<NAME>` in the environment. A port of 0: choose a free one at the start."""

    model_config = SettingsConfigDict(env_prefix="BOMNAE_", frozen=True, extra="forbid")

    data: Path = Field(
        Path(".bomnae"),
        description="Folder of the instance: log, credentials, secrets, snapshots of its state.",
    )
    host: str = Field("127.0.0.1", description="Address that HTTP, NATS, WebSocket and MQTT listen on.")
    pack: str = Field("chuncheon", description="City pack to load: a name under schemas/packs, or a folder.")
    simulate: bool = Field(True, description="Start the simulated (synthetic) sensors of the pack.")

    http_port: Port = Field(8000, description="HTTP API.")
    nats_port: Port = Field(4222, description="NATS clients.")
    websocket_port: Port = Field(9222, description="NATS over WebSocket, for browsers.")
    mqtt_port: Port = Field(1883, description="MQTT 3.1.1, for sensors.")
    nats_monitor_port: Port = Field(8222, description="Monitoring of nats-server; always on loopback.")
    haproxy_metrics_port: Port = Field(
        0, description="Metrics of Serve's ingress, on all interfaces: close it in the firewall."
    )
    haproxy_stats_port: Port = Field(0, description="Statistics page of Serve's ingress, likewise.")
    replica_port_first: Port = Field(0, description="First of the ports that replicas listen on behind the ingress.")
    replica_ports: int = Field(100, ge=2, le=5_000, description="How many ports the replicas may use.")

    nats_urls: Words = Field((), description="Servers of an outside NATS, comma separated; empty: start one here.")
    nats_user: str = Field("", description="User at the outside NATS.")
    nats_password_file: Path | None = Field(None, description="File that holds the password at the outside NATS.")
    replicas: int = Field(
        1, ge=1, le=5, description="Copies of every stream but the cameras' input; 3 needs three servers."
    )
    sync_always: bool = Field(
        True, description="fsync before each acknowledgement; false trades power-loss safety for speed."
    )
    log_max_mb: int = Field(4_096, ge=16, description="Size limit of each LOG stream in MB (10^6 bytes).")
    ingest_max_mb: int = Field(16_384, ge=16, description="Size limit of each INGEST stream in MB.")
    feed_max_mb: int = Field(1_024, ge=16, description="Size limit of FEED in MB; the oldest leave first.")
    rejected_max_mb: int = Field(1_024, ge=16, description="Size limit of REJECTED in MB.")

    facility_shards: int = Field(
        4, ge=1, le=1_024, description="Shards of the facility context; fixed when a city is created."
    )
    road_shards: int = Field(2, ge=1, le=1_024, description="Shards of the road context; fixed when a city is created.")
    sighting_shards: int = Field(
        4, ge=1, le=1_024, description="Shards of the sighting context (cameras); fixed when a city is created."
    )
    person_shards: int = Field(
        1, ge=1, le=1_024, description="Shards of the person context (cases); fixed when a city is created."
    )
    population_shards: int = Field(
        1, ge=1, le=1_024, description="Shards of the population context (sources); fixed when a city is created."
    )
    catalogue_shards: int = Field(
        1, ge=1, le=1_024, description="Shards of the catalogue context (datasets); fixed when a city is created."
    )
    search_shards: int = Field(1, ge=1, le=1_024, description="Actors that the search of sightings is divided over.")
    search_copies: int = Field(1, ge=1, le=16, description="Copies of each search shard.")
    shard_hosts: int = Field(1, ge=1, le=1_024, description="Actors (processes) that the shards are spread over.")
    api_replicas: int = Field(1, ge=1, le=256, description="Replicas of the HTTP API.")
    statistics_replicas: int = Field(
        2, ge=1, le=256, description="Most replicas of the statistics, which scale from one."
    )
    ray_address: str = Field("", description="Address of a running Ray cluster; empty: start one here.")
    ray_namespace: str = Field("bomnae", description="Namespace of the named actors; one per city.")
    publish_every_ms: int = Field(
        100, ge=10, le=10_000, description="Least time between two published states of a shard."
    )
    snapshot_every_s: float = Field(
        300.0, ge=1, description="Time between two snapshots of a shard that changed, in seconds."
    )
    snapshot_days: int = Field(90, ge=1, description="Days that daily snapshots are kept; hourly ones stay for a day.")
    snapshot_url: str = Field("", description="Folder or object store URL (pyarrow.fs) for snapshots; empty: in NATS.")

    objects_url: str = Field(
        "",
        description="Folder or object store URL (pyarrow.fs) for objects that the log names (blocks of sightings, "
        "queries of cases, rows of datasets, counts of population), the same for every node; empty: `objects` in the "
        "data folder.",
    )

    archive_url: str = Field(
        "",
        description="Folder or object store URL (Delta Lake's: s3://, az://, gs://, keys from the environment) for the "
        "archive; empty: `archive` in the data folder.",
    )
    archive_every_s: float = Field(
        10.0,
        ge=0.1,
        le=3_600,
        description="Time between two writes of the archive, in seconds.",
    )

    datasets_from: Path | None = Field(
        None, description="Folder that connectors of files read below; empty: none are read."
    )
    datasets_file: Path | None = Field(
        None, description="YAML file of datasets over the pack's: a connector for one of them, or further ones."
    )
    dataset_days: int = Field(
        90, ge=1, description="Days that a version of a dataset is kept after the next one has replaced it."
    )
    max_dataset_mb: float = Field(64.0, gt=0, le=1_024, description="Largest file of a dataset in MB; larger get 413.")

    jwt_secret_file: Path | None = Field(
        None,
        description="File with the HS256 secret (32 bytes or more); default: `jwt-secret` in the data folder.",
    )
    oidc_issuer: str = Field("", description="Issuer of RS256/ES256 tokens; empty: local tokens only.")
    oidc_jwks_url: str = Field("", description="Its key set; empty: asked from the issuer's discovery document.")
    oidc_audience: str = Field("bomnae", description="Audience that a token must name.")
    oidc_roles_claim: str = Field("roles", description="Claim of the issuer's tokens that lists the roles.")
    token_cache_s: float = Field(
        30.0,
        ge=0,
        le=300,
        description="How long a verified token is trusted without verifying again, in seconds.",
    )

    cors_origins: Words = Field(("*",), description="Origins that browsers may call from, comma separated.")
    max_body_mb: float = Field(8.0, gt=0, le=64, description="Largest request body in MB; larger ones get 413.")
    max_search_mb: float = Field(
        24.0,
        ge=22,
        le=128,
        description="Largest body of a search or watch in MB, with its photographs in base64; each has at most 16 MB "
        "before.",
    )
    read_concurrency: int = Field(256, ge=1, description="Reads in progress per replica.")
    past_concurrency: int = Field(2, ge=1, description="Reads of a past moment (`as_of`) in progress per replica.")
    data_concurrency: int = Field(
        8, ge=1, description="Reads of datasets' rows, maps and charts, and of population, in progress per replica."
    )
    write_concurrency: int = Field(256, ge=1, description="Writes in progress per replica.")
    live_concurrency: int = Field(512, ge=1, description="Live streams per replica.")
    picture_concurrency: int = Field(32, ge=1, description="Pictures of cameras at the encoder per replica.")
    queue: int = Field(256, ge=0, description="Requests of a class that may wait for a place; more get 503.")
    queue_s: float = Field(1.0, ge=0, le=30, description="Longest wait for a place in seconds, then 503.")
    client_rate: float = Field(2_000.0, gt=0, description="Requests per second that one client may make, then 429.")
    client_burst: int = Field(4_000, ge=1, description="Requests that one client may make at once.")
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=16,
        description="Proxies in front that append to X-Forwarded-For, beside the ingress of `bomnae up`, which does so "
        "too. On a cluster with 0 the header counts for nothing: clients without a token share one allowance.",
    )
    live_per_client: int = Field(8, ge=1, description="Live streams of one anonymous client or citizen.")
    live_per_staff: int = Field(32, ge=1, description="Live streams of one client with a staff role.")

    person_detector: Path | None = Field(
        None,
        description="OpenVINO or ONNX file of a person detector (output 1 x 1 x n x 7); empty: OpenCV's own, which is "
        "weak.",
    )
    person_encoder: Path | None = Field(
        None,
        description="OpenVINO or ONNX file of a re-identification network; empty: colour histograms, which are weak.",
    )
    encoder_device: str = Field("CPU", description="OpenVINO device of both: CPU, GPU (Intel), NPU, AUTO, ….")
    encoder_replicas: int = Field(
        2,
        ge=0,
        le=256,
        description="Most replicas of the encoder, which scales from one; 0: no photographs are searched for.",
    )

    log_level: str = Field("INFO", description="Least level of the structured log.")

    @field_validator("nats_urls", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @property
    def secret_file(self) -> Path:
        """Where the HS256 secret lies."""
        return self.jwt_secret_file or self.data / "jwt-secret"

    def shards(self, context: str) -> int:
        """Number of shards of a context. Raises `KeyError` for a context that does not exist."""
        return {
            "facility": self.facility_shards,
            "road": self.road_shards,
            "sighting": self.sighting_shards,
            "person": self.person_shards,
            "population": self.population_shards,
            "catalogue": self.catalogue_shards,
        }[context]


def secret(name: str) -> str | None:
    """A provider's key or a database's address, which stands in the environment alone: `BOMNAE_KEY_<NAME>`.

    Raises `ValueError` for another name: nothing else of the environment is for connectors.
    """
    if not name.startswith("BOMNAE_KEY_"):
        raise ValueError(f"{name} does not begin with BOMNAE_KEY_")
    return os.environ.get(name) or None


def reference() -> str:
    """The settings as a Markdown page: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = (
            f"`{str(default).lower() if isinstance(default, bool) else default}`" if default not in ("", None) else "–"
        )
        rows.append(f"| `BOMNAE_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(
        [
            "# Settings",
            "",
            "Read from the environment, in `schemas/settings.py` alone. A port of 0: choose a free one at the start.",
            "This page is `schemas.settings.reference()`; a test compares the two.",
            "",
            *rows,
            "",
        ]
    )
