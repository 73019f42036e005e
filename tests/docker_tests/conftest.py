"""What lies in docker/, as its own readers see it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.docker_tests.docker_files import DOCKER, Instruction, instructions_of


@pytest.fixture(scope="session")
def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions, in order."""
    return list(instructions_of((DOCKER / "Dockerfile").read_text()))


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """compose.yaml with its anchors resolved, and its variables as they are written."""
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return parsed


@pytest.fixture(scope="session")
def manifests() -> list[dict[str, Any]]:
    """The documents of kuberay.yaml."""
    return list(yaml.safe_load_all((DOCKER / "kuberay.yaml").read_text()))
