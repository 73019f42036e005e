"""What the commands say of how far the scores can be trusted."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_front_has_its_verdict_on_held_out_examples(run_command: Run, ray_study: str) -> None:
    found = json.loads(run_command("front", ray_study, "--json").stdout)
    for trial in (*found["front"], *found["landmarks"]):
        assert trial["holdout"].keys() == {"alignment", "expertise", "refusal"}
        assert all(score["n"] == 96 and score["standard_error"] is not None for score in trial["holdout"].values())
    shown = run_command("front", ray_study).stdout
    assert "on held-out examples" in shown
    assert "(gap)" in shown


def test_two_merges_are_compared(run_command: Run, ray_study: str) -> None:
    # The first landmarks: base and aligned, whose refusals differ by more than chance.
    compared = json.loads(run_command("compare", ray_study, "1", "0", "--json").stdout)["measures"]
    assert compared.keys() == {
        f"{name}{split}" for name in ("alignment", "expertise") for split in ("", "@holdout")
    } | {"refusal@holdout"}
    assert compared["alignment"]["difference"] > 0 > compared["expertise"]["difference"]
    assert all(measure["p_value"] < 0.01 for measure in compared.values())
    shown = run_command("compare", ray_study, "1", "0").stdout
    assert shown.count("the largest differences") == 5
    assert len(re.findall(r"^ +[+-]\d\.\d{4}  \w", shown, re.MULTILINE)) == 25


@pytest.mark.parametrize(("trial", "said"), [("999", "one of the study's finished ones"), ("-1", "No such option")])
def test_unknown_trials_are_refused(run_command: Run, ray_study: str, trial: str, said: str) -> None:
    done = run_command("compare", ray_study, "0", trial)
    assert done.returncode == 2
    assert said in done.stderr
