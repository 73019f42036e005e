"""`paretomerge methods`: a table, markdown or JSON, at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from search_spaces import METHOD_SIGNATURES

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_json_has_bounds_and_parity(run_command: Run) -> None:
    told = json.loads(run_command("methods", "--json").stdout)
    found = {method["method"]: method for method in told["methods"]}
    assert found.keys() == METHOD_SIGNATURES.keys()
    assert found["ties"]["searched"] == {"weight": [0, 1.5], "density": [0.1, 1]}
    assert found["linear"]["parity"]["n_cases"] > 0
    assert told["compared"]["mergekit"] == found["linear"]["mergekit"]


@pytest.mark.parametrize("option", [(), ("--markdown",)])
def test_every_method_is_listed(run_command: Run, option: tuple[str, ...]) -> None:
    printed = run_command("methods", *option).stdout
    assert [name for name in METHOD_SIGNATURES if name not in printed] == []


def test_it_loads_nothing_heavy(run_command: Run) -> None:
    done = run_command("methods", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "rich" in loaded
    assert not loaded & {"torch", "ray", "transformers", "optuna", "sqlalchemy"}
