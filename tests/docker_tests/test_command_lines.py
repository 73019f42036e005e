"""What the containers call exists: options of `paretomerge`, Ray and Optuna Dashboard."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import COMMAND
from tests.docker_tests.docker_files import DOCKER, REPOSITORY, SCRIPTS

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def options_of(*command: str | Path) -> set[str]:
    """The options that a command's help names."""
    done = subprocess.run([*map(str, command), "--help"], capture_output=True, text=True, check=True)
    return set(OPTION.findall(done.stdout))


def commands(compose: dict[str, Any], program: str) -> list[list[str]]:
    """The commands of compose.yaml whose first word is this."""
    return [s["command"] for s in compose["services"].values() if s.get("command", [""])[0] == program]


def test_service_is_started_with_options_that_it_has(compose: dict[str, Any]) -> None:
    (composed,) = commands(compose, "serve")
    deployed = re.findall(r"^ +- (--[a-z-]+=.*)$", (DOCKER / "kuberay.yaml").read_text(), re.MULTILINE)
    entry_point = next(line for line in _lines("entrypoint.sh") if "paretomerge serve" in line)
    used = set(OPTION.findall("\n".join([*composed, *deployed, entry_point])))
    assert used <= options_of(COMMAND, "serve")
    # On all addresses, and on Ray's nodes at the paths where the folders are mounted.
    for given in (composed, deployed):
        assert {"--host=0.0.0.0", "--models=/models", "--sets=/sets", "--exports=/exports"} <= set(given)


def test_nodes_are_started_with_options_that_ray_has(compose: dict[str, Any]) -> None:
    entry_point = "\n".join(line for line in _lines("entrypoint.sh") if "become_node" in line or "ray start" in line)
    composed = "\n".join(" ".join(command) for command in commands(compose, "ray-worker"))
    cluster = next(d for d in yaml.safe_load_all((DOCKER / "kuberay.yaml").read_text()) if d["kind"] == "RayCluster")
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    parameters = {f"--{name}" for group in groups for name in group["rayStartParams"]}
    used = set(OPTION.findall(f"{entry_point}\n{composed}")) | parameters
    assert used <= options_of(COMMAND.parent / "ray", "start")


def test_dashboard_is_started_with_options_that_it_has(compose: dict[str, Any]) -> None:
    (command,) = commands(compose, "optuna-dashboard")
    used = {word.partition("=")[0] for word in command if word.startswith("--")}
    assert used <= options_of(COMMAND.parent / "optuna-dashboard")


@pytest.mark.parametrize("name", ["PARETOMERGE_DATABASE_URL", "PARETOMERGE_CACHE_DIR", "PARETOMERGE_DATA_DIR"])
def test_variables_of_the_image_are_those_that_the_code_reads(name: str) -> None:
    given = (DOCKER / "Dockerfile").read_text() + (DOCKER / "compose.yaml").read_text()
    assert name in given
    sources = (path.read_text() for package in ("service", "workers") for path in (REPOSITORY / package).rglob("*.py"))
    assert any(f'"{name}"' in text for text in sources)


def _lines(script: str) -> list[str]:
    return (SCRIPTS / script).read_text().splitlines()
