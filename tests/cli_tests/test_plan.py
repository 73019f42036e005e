"""`paretomerge plan --config`: what models of a shape will cost, without their weights."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search_spaces.errors import CheckpointError, SpecificationError, UserError
from service.cli.app import app

Run = Callable[..., subprocess.CompletedProcess[str]]

SHAPE = Path(__file__).parents[2] / "benchmarks" / "shapes" / "llama-3-8b.json"


def test_a_configuration_is_planned(run_command: Run) -> None:
    bandwidth = "device=3000,link=25,memory=100"
    done = run_command(
        "plan", "--config", SHAPE, "--method", "linear", "--gpu-gib", "80", "--bandwidth", bandwidth, "--json"
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["n_parameters"] == 8_030_261_248
    assert plan["memory"]["kept"]["sources"] == "resident"
    assert (plan["gpus"]["n_gpus"], plan["fits"]) == (1, True)
    assert plan["time"]["make_s"] == max(plan["time"]["parts"].values()) > 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], SpecificationError, "either a specification or `--config"),
        (["x.yaml", "--config", str(SHAPE)], SpecificationError, "either a specification or `--config"),
        (["--config", "nowhere.json"], CheckpointError, "'nowhere.json' is not there"),
        (["--config", str(SHAPE), "--method", "magic"], SpecificationError, "`--method` .* 'magic'"),
        (["--config", str(SHAPE), "--bandwidth", "link=x"], SpecificationError, "`--bandwidth` .* 'link=x'"),
    ],
)
def test_bad_input_is_the_users_mistake(arguments: list[str], error: type[UserError], message: str) -> None:
    found = CliRunner().invoke(app, ["plan", *arguments]).exception
    assert isinstance(found, error)
    with pytest.raises(error, match=message):
        raise found
    assert found.exit_code == 2


def test_the_lines_of_a_plan() -> None:
    done = CliRunner().invoke(app, ["plan", "--config", str(SHAPE), "--no-measure", "--gpu-gib", "24"])
    assert done.exit_code == 0
    assert "LlamaForCausalLM, 8.03 B parameters" in done.output
    assert "advice       The sources are copied to the GPU" in done.output
    assert "`--bandwidth" in done.output
