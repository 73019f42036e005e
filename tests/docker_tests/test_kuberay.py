"""kuberay.yaml: the cluster, the service beside it, and who may reach what."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.docker_tests.docker_files import DOCKER

Manifest = dict[str, Any]
PODS = ("head", "cpu", "gpu", "service")
EVERY_POD = pytest.mark.parametrize("name", PODS)


def one(manifests: list[Manifest], kind: str, name: str = "paretomerge") -> Manifest:
    (found,) = (each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


@pytest.fixture
def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pods' templates: of the head, of each group of workers, and of the service."""
    cluster = one(manifests, "RayCluster")["spec"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {
        "head": cluster["headGroupSpec"]["template"],
        **groups,
        "service": one(manifests, "Deployment")["spec"]["template"],
    }


def containers(pod: Manifest) -> list[Manifest]:
    found: list[Manifest] = pod["spec"]["containers"]
    return found


def test_has_a_cluster_with_both_kinds_of_workers_and_a_service(manifests: list[Manifest]) -> None:
    cluster = one(manifests, "RayCluster")
    assert cluster["apiVersion"] == "ray.io/v1"
    assert [group["groupName"] for group in cluster["spec"]["workerGroupSpecs"]] == ["cpu", "gpu"]
    assert one(manifests, "Service")["spec"]["selector"].items() <= (
        one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    )


def test_ray_is_the_version_of_the_image(manifests: list[Manifest]) -> None:
    assert one(manifests, "RayCluster")["spec"]["rayVersion"] == importlib.metadata.version("ray")


def test_every_group_is_limited(manifests: list[Manifest]) -> None:
    for group in one(manifests, "RayCluster")["spec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@EVERY_POD
def test_pod_is_not_root_and_has_no_privilege(pods: dict[str, Manifest], name: str) -> None:
    spec = pods[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (10001, 10001, 10001)
    for container in containers(pods[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@EVERY_POD
def test_container_is_limited_and_pinned(pods: dict[str, Manifest], name: str) -> None:
    for container in containers(pods[name]):
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert re.search(r":\d+\.\d+\.\d+-(cpu|cuda)$", container["image"])


@EVERY_POD
def test_pods_see_the_same_folders_at_the_same_paths(pods: dict[str, Manifest], name: str) -> None:
    claims = {v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in pods[name]["spec"]["volumes"]}
    (container,) = containers(pods[name])
    mounts = {mount["mountPath"]: claims[mount["name"]] for mount in container["volumeMounts"]}
    assert mounts == {
        "/models": "paretomerge-models",
        "/sets": "paretomerge-sets",
        "/exports": "paretomerge-exports",
        "/tmp": None,
        "/dev/shm": None,
    }


@EVERY_POD
def test_pods_have_the_same_database(pods: dict[str, Manifest], name: str) -> None:
    (container,) = containers(pods[name])
    assert container["envFrom"] == [{"configMapRef": {"name": "paretomerge"}}]
    assert "PGPASSWORD" in {variable["name"] for variable in container["env"]}


def test_every_claim_is_made_and_shared(manifests: list[Manifest]) -> None:
    for name in ("models", "sets", "exports"):
        claim = one(manifests, "PersistentVolumeClaim", f"paretomerge-{name}")
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@EVERY_POD
def test_secrets_are_references(pods: dict[str, Manifest], name: str) -> None:
    for container in containers(pods[name]):
        for variable in container["env"]:
            assert set(variable) == {"name", "valueFrom"}
            assert set(variable["valueFrom"]) == {"secretKeyRef"}


def test_no_secret_is_written_down(manifests: list[Manifest]) -> None:
    assert not [each for each in manifests if each["kind"] == "Secret"]
    for value in one(manifests, "ConfigMap")["data"].values():
        assert not re.search(r"//[^/@]*:[^/@]*@", value)


def test_token_is_given_to_the_service_alone(pods: dict[str, Manifest]) -> None:
    holders = [
        name
        for name, pod in pods.items()
        for container in containers(pod)
        for variable in container["env"]
        if variable["name"] == "PARETOMERGE_TOKEN"
    ]
    assert holders == ["service"]


def test_service_is_probed_where_it_tells_its_health(pods: dict[str, Manifest]) -> None:
    (container,) = containers(pods["service"])
    paths = {
        probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    # Alive is not ready: without a cluster it still answers, and a new start would not bring one.
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


@pytest.mark.parametrize(("name", "role"), [("head", "ray-head"), ("cpu", "ray-worker"), ("gpu", "ray-worker")])
def test_nodes_are_probed_by_the_images_script(pods: dict[str, Manifest], name: str, role: str) -> None:
    (container,) = containers(pods[name])
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"] == ["/scripts/healthcheck.sh", role]


def test_gpu_is_a_limit_of_the_gpu_group_only(pods: dict[str, Manifest]) -> None:
    with_gpu = [name for name, pod in pods.items() if "nvidia.com/gpu" in containers(pod)[0]["resources"]["limits"]]
    assert with_gpu == ["gpu"]
    assert containers(pods["gpu"])[0]["image"].endswith("-cuda")


def test_service_joins_the_cluster_by_the_name_that_the_operator_gives_its_head(manifests: list[Manifest]) -> None:
    cluster = one(manifests, "RayCluster")["metadata"]["name"]
    assert one(manifests, "ConfigMap")["data"]["PARETOMERGE_RAY_ADDRESS"] == f"{cluster}-head-svc:6379"


def test_ray_is_reached_from_within_only(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    (rule,) = one(manifests, "NetworkPolicy", "paretomerge-ray")["spec"]["ingress"]
    assert set(rule) == {"from"}
    (peer,) = rule["from"]
    for pod in pods.values():
        assert peer["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def _kinds(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    children = node.value if isinstance(node.value, list) else []
    for child in children:
        for each in child if isinstance(child, tuple) else (child,):
            yield from _kinds(each)


def test_no_key_is_given_twice() -> None:
    """Readers differ in which one they take."""
    for document in yaml.compose_all((DOCKER / "kuberay.yaml").read_text()):
        for node in _kinds(document):
            if isinstance(node, yaml.MappingNode):
                keys = [key.value for key, _ in node.value]
                assert len(keys) == len(set(keys))
