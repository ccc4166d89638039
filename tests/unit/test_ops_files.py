"""What a cluster is started from: cluster.yaml, serve/config.yaml, the manifests. Ray's own schemas judge them."""

import json
import re
import subprocess
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve import Application
from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
from ray.serve.schema import ServeDeploySchema

from schemas.settings import Settings
from serve import ingress
from serve.city import ENCODER
from serve.deployments import LIVE_PREFIX, STATISTICS_PREFIX
from serve.pictures.sandbox import Limits
from streams.server import MAX_PAYLOAD, MAX_PENDING

ROOT = Path(__file__).parents[2]
CLUSTER = (ROOT / "cluster.yaml").read_text()
SERVE = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
NATS = (ROOT / "docs" / "nats" / "nats.conf").read_text() + (ROOT / "docs" / "nats" / "cluster.conf").read_text()
RAY_SERVICE = yaml.safe_load((ROOT / "docs" / "kuberay" / "rayservice.yaml").read_text())
ON_KUBERNETES = list(yaml.safe_load_all((ROOT / "docs" / "kuberay" / "nats.yaml").read_text()))


def schema() -> dict[str, Any]:
    path = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def cluster(cloud: str = "") -> dict[str, Any]:
    """cluster.yaml, with the keys of a commented part in place of the same ones."""
    found: dict[str, Any] = yaml.safe_load(CLUSTER)
    if cloud:
        part = CLUSTER.split(f"# begin {cloud}\n")[1].split(f"# end {cloud}\n")[0]
        found |= yaml.safe_load(re.sub("^# ", "", part, flags=re.MULTILINE))
    return found


def environment(home: Path) -> dict[str, str]:
    """The variables that a node's set-up writes down, by running that command."""
    (command,) = (line for line in cluster()["setup_commands"] if "bomnae.env" in line)
    subprocess.run(["bash", "-c", command], env={"HOME": str(home)}, check=True)
    return dict(line.split("=", 1) for line in (home / "bomnae.env").read_text().splitlines())


@pytest.mark.parametrize("cloud", ["", "aws", "gcp"])
def test_cluster_yaml_and_its_commented_parts_fit_the_schema_of_ray(cloud: str) -> None:
    jsonschema.validate(cluster(cloud), schema())


def test_the_schema_of_ray_refuses_a_key_that_does_not_exist() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster(), "min_workers": 1}, schema())


def test_ray_prepares_the_cluster_with_every_machine_as_a_worker() -> None:
    prepared = prepare_config(cluster())
    validate_config(prepared)
    (kind,) = prepared["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == len(prepared["provider"]["worker_ips"])


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_in_a_cloud_workers_scale_and_the_head_does_no_work(cloud: str) -> None:
    types = cluster(cloud)["available_node_types"]
    head = types[cluster(cloud)["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert 0 < types["worker"]["min_workers"] < types["worker"]["max_workers"] <= cluster(cloud)["max_workers"]


def test_the_head_is_started_without_cpus_and_with_the_dashboard_on_loopback() -> None:
    start = cluster()["head_start_ray_commands"][-1]
    assert "--num-cpus=0" in start
    assert "--dashboard-host=127.0.0.1" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start


def test_every_machine_is_started_since_the_autoscaler_of_the_file_does_not_count_the_head_among_them() -> None:
    assert "RAY_enable_autoscaler_v2=0 ray start --head" in cluster()["head_start_ray_commands"][-1]


def test_a_node_starts_with_token_authentication_and_the_ingress_that_was_measured(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["RAY_AUTH_MODE"] == "token"
    assert found["RAY_SERVE_ENABLE_HA_PROXY"] == found["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert cluster()[commands][-1].startswith("set -a && . ~/bomnae.env && set +a && ")


def test_a_picture_of_the_largest_size_fits_into_a_call_between_replicas_wherever_the_city_runs(tmp_path: Path) -> None:
    name = "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH"
    (pods,) = re.findall(rf'{name}, value: "(\d+)"', (ROOT / "docs/kuberay/rayservice.yaml").read_text())
    assert 1.1 * Limits().bytes < ingress.MESSAGE
    assert int(environment(tmp_path)[name]) == int(pods) == ingress.MESSAGE


def test_ray_knows_every_variable_of_serve_that_a_node_sets(tmp_path: Path) -> None:
    known = (Path(ray.__file__).parent / "serve" / "_private" / "constants.py").read_text()
    ours = [name for name in environment(tmp_path) if name.startswith("RAY_SERVE_")]
    assert ours
    assert [name for name in ours if f'"{name}"' not in known] == []


def settings_of(found: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    unknown = [
        name
        for name in found
        if name.startswith("BOMNAE_") and name.removeprefix("BOMNAE_").lower() not in Settings.model_fields
    ]
    assert unknown == []
    return Settings()


def test_the_settings_of_a_node_are_ones_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(environment(tmp_path), monkeypatch)
    assert settings.nats_password_file == tmp_path / "bomnae-secrets" / "nats-password"
    assert len(settings.nats_urls) == settings.replicas == 3
    assert settings.nats_user == "host-ray"


def test_nothing_is_installed_that_is_not_pinned() -> None:
    first, second = (line for line in cluster()["setup_commands"] if "pip install" in line)
    assert "--require-hashes -r ~/bomnae/requirements.lock" in first
    assert "--no-deps --no-build-isolation" in second


def test_serve_deploy_takes_the_configuration() -> None:
    config = ServeDeploySchema.model_validate(SERVE)
    assert {app.name: app.route_prefix for app in config.applications} == {
        "keeper": None,
        "api": "/",
        "live": LIVE_PREFIX,
        "statistics": STATISTICS_PREFIX,
        ENCODER: None,
    }


def test_every_application_is_built_without_arguments_and_has_the_deployments_that_are_configured() -> None:
    for app in ServeDeploySchema.model_validate(SERVE).applications:
        module, name = app.import_path.split(":")
        built = call_user_app_builder_with_args_if_necessary(getattr(import_module(module), name), {})
        assert isinstance(built, Application)
        assert [one.name for one in app.deployments] == [built._bound_deployment.name]


def test_the_ray_service_deploys_the_same_configuration() -> None:
    assert RAY_SERVICE["apiVersion"] == "ray.io/v1"
    assert RAY_SERVICE["kind"] == "RayService"
    assert yaml.safe_load(RAY_SERVICE["spec"]["serveConfigV2"]) == SERVE


def test_the_ray_service_runs_the_pinned_ray_with_a_token_and_an_idle_head() -> None:
    config = RAY_SERVICE["spec"]["rayClusterConfig"]
    assert config["rayVersion"] == version("ray")
    assert config["authOptions"] == {"mode": "token"}
    assert config["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = config["workerGroupSpecs"]
    assert 0 < workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert all(isinstance(value, str) for value in workers["rayStartParams"].values())


def test_pods_and_machines_have_the_same_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RAY_SERVICE["spec"]["rayClusterConfig"]
    machine = environment(tmp_path)
    differing = {"RAY_AUTH_MODE", "BOMNAE_NATS_URLS", "BOMNAE_NATS_PASSWORD_FILE", "BOMNAE_JWT_SECRET_FILE"}
    for group in (config["headGroupSpec"], *config["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        pod = {one["name"]: one["value"] for one in container["env"]}
        assert {k: v for k, v in pod.items() if k not in differing} == {
            k: v for k, v in machine.items() if k not in differing
        }
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert str(settings_of(pod, monkeypatch).secret_file.parent) in mounted


def test_the_servers_take_the_messages_that_an_embedded_one_takes_and_sync_always() -> None:
    (config,) = (one["data"]["nats.conf"] for one in ON_KUBERNETES if one["kind"] == "ConfigMap")
    for text in (NATS, config):
        assert f"max_payload: {MAX_PAYLOAD}\n" in text
        assert f"max_pending: {MAX_PENDING}\n" in text
        assert "sync_interval: always\n" in text
        assert len(re.findall(r'"nats://[^"]+:6222"', text)) == 3


def test_three_nats_pods_find_each_other_keep_their_data_and_never_leave_together() -> None:
    by_kind = {one["kind"]: one for one in ON_KUBERNETES}
    (stateful,) = (one["spec"] for one in ON_KUBERNETES if one["kind"] == "StatefulSet")
    assert stateful["replicas"] == 3
    services = {one["metadata"]["name"]: one["spec"] for one in ON_KUBERNETES if one["kind"] == "Service"}
    peers = services[stateful["serviceName"]]
    assert peers["clusterIP"] == "None"
    assert peers["publishNotReadyAddresses"] is True
    labels = stateful["template"]["metadata"]["labels"]
    assert all(service["selector"] == labels for service in services.values())
    routes = re.findall(r'"nats://([^":]+):6222"', by_kind["ConfigMap"]["data"]["nats.conf"])
    assert routes == [f"nats-{number}.{stateful['serviceName']}" for number in range(3)]
    assert [claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]] == ["data"]
    assert by_kind["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
