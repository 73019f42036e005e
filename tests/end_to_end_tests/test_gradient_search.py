"""Searches by gradients: killed ones lose nothing that was paid for, and mixed ones warm up others."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
SearchUntil = Callable[..., tuple[subprocess.Popen[bytes], str]]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
N_EVALUATIONS, N_BEFORE = 42, 22
ON_RAY, IN_PROCESS = {"pool": "ray", "count": 2}, {"pool": "in_process"}
GRADIENTS, COST, REQUEST = "paretomerge:gradients", "paretomerge:cost", "paretomerge:gradient"
_TRIALS = """
    SELECT number, state::text,
           (SELECT json_object_agg(param_name, param_value) FROM trial_params WHERE trial_id = trials.trial_id),
           (SELECT json_agg(value ORDER BY objective) FROM trial_values WHERE trial_id = trials.trial_id),
           (SELECT json_object_agg(key, value_json::json) FROM trial_system_attributes
            WHERE trial_id = trials.trial_id AND key LIKE 'paretomerge:%%')
    FROM trials JOIN studies USING (study_id) WHERE study_name = %s ORDER BY number
"""


@dataclass(frozen=True)
class StoredTrial:
    """A trial as Postgres has it."""

    number: int
    state: str
    params: dict[str, float] | None
    values: list[float] | None
    marks: dict[str, Any]

    @property
    def cost(self) -> float:
        return float(self.marks.get(COST, 1.0))


@pytest.fixture(scope="session")
def stored_trials(run_command: Run) -> Callable[[str], list[StoredTrial]]:
    url = run_command("database", "url").stdout.strip()

    def read(study: str) -> list[StoredTrial]:
        with psycopg.connect(url) as connection:
            rows = connection.execute(_TRIALS, [study]).fetchall()
        return [
            StoredTrial(number, state, params, values, marks or {}) for number, state, params, values, marks in rows
        ]

    return read


def by_gradients(share: float, workers: dict[str, Any]) -> dict[str, Any]:
    search = {"sampler": "gradient", "gradient_share": share, "evaluations": N_EVALUATIONS}
    return {"search": search, "workers": workers}


def finished(trials: list[StoredTrial]) -> dict[int, StoredTrial]:
    return {trial.number: trial for trial in trials if trial.state == "COMPLETE"}


def assert_has_what_it_paid_for(trial: StoredTrial, share: float) -> None:
    if REQUEST in trial.marks:
        assert trial.params is not None
        assert (trial.marks[REQUEST], trial.cost) == ({"share": share}, 1 + 2 * share)
        assert trial.marks[GRADIENTS].keys() == {"alignment", "expertise"}
        assert all(slopes.keys() == trial.params.keys() for slopes in trial.marks[GRADIENTS].values())
    else:
        assert not trial.marks.keys() & {COST, GRADIENTS}


@pytest.mark.faults
@pytest.mark.parametrize("changes", [by_gradients(1.0, ON_RAY), by_gradients(0.25, IN_PROCESS)], ids=["ray", "share"])
def test_killed_driver(
    changes: dict[str, Any],
    tmp_path: Path,
    search_until: SearchUntil,
    searched: Callable[..., str],
    run_command: Run,
    stored_trials: Callable[[str], list[StoredTrial]],
) -> None:
    search, study = search_until(f"{N_BEFORE}/{N_EVALUATIONS}", **changes)
    search.send_signal(signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL
    killed = stored_trials(study)
    at_kill = json.loads(run_command("front", study, "--json").stdout)
    assert N_BEFORE <= at_kill["spent_evaluations"] < N_EVALUATIONS
    searched(tmp_path, name=study, **changes)
    trials = stored_trials(study)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert finished(killed).items() <= finished(trials).items()
    for trial in trials:
        assert_has_what_it_paid_for(trial, changes["search"]["gradient_share"])
    # What its workers had at that moment is evaluated after all, as it was proposed.
    assert all(trial.params == trials[trial.number].params for trial in killed if trial.params)
    at_end = json.loads(run_command("front", study, "--json").stdout)
    assert at_end["spent_evaluations"] == pytest.approx(sum(trial.cost for trial in trials))
    assert N_EVALUATIONS - 1 < at_end["spent_evaluations"] <= N_EVALUATIONS
    assert any(REQUEST in trial.marks for trial in trials[len(killed) :])
    # It goes on learning from the gradients of before.
    assert at_end["hypervolume"] > at_kill["hypervolume"]


def test_what_has_no_gradient_is_scored_too_and_asked_again_from_the_front(
    tmp_path: Path,
    searched: Callable[..., str],
    run_command: Run,
    stored_trials: Callable[[str], list[StoredTrial]],
) -> None:
    safety, domain = (str(FAMILY / f"{name}.jsonl") for name in ("safety", "domain"))
    answers = {"set": domain, "scorer": "exact_match"}
    likely = {"set": safety, "scorer": "refusal_margin"}
    mixed = {"alignment": likely, "expertise": answers}
    study = searched(tmp_path, objectives=mixed, search={"sampler": "gradient", "evaluations": 30})
    trials = stored_trials(study)
    assert sum(trial.cost for trial in trials) == 30
    # Of the objective that has a gradient alone; the other one was scored all the same.
    assert {tuple(trial.marks[GRADIENTS]) for trial in trials if REQUEST in trial.marks} == {("alignment",)}
    assert len({trial.values[1] for trial in trials if trial.values}) > 2
    first = json.loads(run_command("front", study, "--json").stdout)
    begun = {f"{study} #{trial['trial']}": trial["values"]["expertise"] for trial in first["front"]}
    verdict = {"alignment": {"set": safety, "scorer": "refusal"}, "expertise": answers}
    search = {"start": [{"front_of": study}], "landmarks": False, "evaluations": len(begun) + 2}
    second = searched(tmp_path, objectives=verdict, search=search)
    tried = json.loads(run_command("front", second, "--json").stdout)["landmarks"]
    # Exact answers to the same questions, by the same merges.
    assert {trial["landmark"]: trial["values"]["expertise"] for trial in tried} == begun
