"""compose.yaml: what is pinned, published, privileged, limited and checked."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.docker_tests.docker_files import DOCKER, SCRIPTS

SERVICES = ("postgres", "ray-head", "ray-worker", "ray-worker-gpu", "service", "dashboard")
# Those that run the project's code for a search.
NODES = ("ray-head", "ray-worker", "ray-worker-gpu", "service")
EVERY_SERVICE = pytest.mark.parametrize("name", SERVICES)
EVERY_NODE = pytest.mark.parametrize("name", NODES)
VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def test_is_what_the_compose_specification_allows() -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    command: list[str | Path] = [checker, "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"]
    assert "validation done" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_has_the_services_that_were_asked_for(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == set(SERVICES)


@EVERY_SERVICE
def test_image_is_pinned(compose: dict[str, Any], name: str) -> None:
    image = VARIABLE.sub(lambda found: found[2], compose["services"][name]["image"])
    assert re.fullmatch(r"[a-z]+:\d+\.\d+[\w.-]*", image)


@EVERY_SERVICE
def test_has_no_privilege(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert service.get("user") != "root"


@EVERY_SERVICE
def test_is_limited_checked_and_started_again(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"


@EVERY_SERVICE
def test_waits_until_what_it_needs_is_healthy(compose: dict[str, Any], name: str) -> None:
    needed = compose["services"][name].get("depends_on", {})
    assert bool(needed) == (name != "postgres")
    assert all(condition == {"condition": "service_healthy"} for condition in needed.values())


def test_only_the_service_and_its_optional_dashboard_are_published(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"service", "dashboard"}
    assert published["service"] == ["${PARETOMERGE_BIND:-127.0.0.1}:${PARETOMERGE_PORT:-8008}:8008"]
    # It asks for no token: no setting may publish it elsewhere.
    assert published["dashboard"][0].startswith("127.0.0.1:")
    assert compose["services"]["dashboard"]["profiles"] == ["dashboard"]


def test_database_and_cluster_are_on_a_network_that_leads_nowhere(compose: dict[str, Any]) -> None:
    assert compose["networks"]["backend"] == {"internal": True}
    for name in ("postgres", "ray-head", "ray-worker", "ray-worker-gpu"):
        assert compose["services"][name]["networks"] == ["backend"]


@EVERY_NODE
def test_nodes_see_the_same_folders_at_the_same_paths(compose: dict[str, Any], name: str) -> None:
    mounts = [VARIABLE.sub("", mount) for mount in compose["services"][name]["volumes"]]
    assert mounts == [":/models:ro", ":/sets:ro", ":/exports"]


@EVERY_NODE
def test_nodes_have_the_same_database_and_cluster(compose: dict[str, Any], name: str) -> None:
    expected = compose["x-environment"]
    environment = compose["services"][name]["environment"]
    assert {key: environment[key] for key in expected} == expected


@EVERY_SERVICE
def test_secrets_are_files_and_stand_in_no_variable(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    for key, value in service.get("environment", {}).items():
        if key.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
        else:
            assert not re.search(r"TOKEN|PASSWORD", key)
            assert not re.search(r"//[^/@]*:[^/@]*@", value)


def test_service_requires_a_token(compose: dict[str, Any]) -> None:
    assert compose["services"]["service"]["environment"]["PARETOMERGE_TOKEN_FILE"] == "/run/secrets/token"
    assert "--insecure" not in compose["services"]["service"]["command"]


def test_secrets_are_those_that_the_script_makes(compose: dict[str, Any]) -> None:
    made = re.search(r"for name in ([a-z_ ]+); do", (SCRIPTS / "make-secrets.sh").read_text())
    assert made
    assert {n: {"file": f"./secrets/{n}"} for n in made[1].split()} == compose["secrets"]


def test_gpu_worker_reserves_devices_and_is_asked_for(compose: dict[str, Any]) -> None:
    worker = compose["services"]["ray-worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
    assert worker["profiles"] == ["gpu"]
    assert worker["build"]["args"] == {"ACCELERATOR": "cuda"}
    assert "profiles" not in compose["services"]["ray-worker"]


def test_database_keeps_its_data_in_a_volume(compose: dict[str, Any]) -> None:
    # Mounted as the image of PostgreSQL 18 wants it: below, data would be in a volume without a name.
    assert compose["services"]["postgres"]["volumes"] == ["database:/var/lib/postgresql"]
    assert "database" in compose["volumes"]


def test_every_role_is_one_of_the_entry_points(compose: dict[str, Any]) -> None:
    roles = set(re.findall(r"^([a-z-]+)\)$", (SCRIPTS / "entrypoint.sh").read_text(), re.MULTILINE))
    assert roles == {"ray-head", "ray-worker", "serve"}
    assert {compose["services"][name]["command"][0] for name in NODES} == roles


def test_every_variable_is_documented_with_its_default() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    used = dict(VARIABLE.findall(text))
    lines = (DOCKER / ".env.example").read_text().splitlines()
    documented = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert used == documented
    assert len(re.findall(r"\$\{", text)) == len(VARIABLE.findall(text))


def test_every_documented_variable_is_explained() -> None:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("# ")
