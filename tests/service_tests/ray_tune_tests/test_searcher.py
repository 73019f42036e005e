"""The searcher over a real study, called as Tune calls it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError
from sqlalchemy import Engine

from search_spaces.errors import PoolError, SpecificationError
from service.ray_tune import StudySearcher, merge_trainable
from service.search import PreparedSearch
from service.studies import load_study
from workers.candidate_worker import Measure

Prepare = Callable[..., PreparedSearch]
States = Callable[[], list[str]]

GOOD = {"alignment": 0.5, "expertise": 0.25}
# What `on_trial_complete` is called with → the reason that the study is told.
FAULTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"result": GOOD | {"expertise": math.nan}}, "non_finite_score"),
    ({"result": GOOD | {"alignment": -math.inf}}, "non_finite_score"),
    ({"result": {"alignment": 0.5}}, "missing_score"),
    ({"result": GOOD | {"alignment": "high"}}, "missing_score"),
    ({"result": GOOD | {"share": 0.25}}, "stopped_early"),
    ({"result": GOOD | {"failure": "timeout"}}, "timeout"),
    ({"result": GOOD | {"failure": "bored"}}, "internal_error"),
    ({}, "stopped_early"),
    ({"error": True}, "internal_error"),
)


def suggest(searcher: StudySearcher, trial_id: str) -> dict[str, Any]:
    config = searcher.suggest(trial_id)
    assert isinstance(config, dict)
    return config


def test_landmarks_come_first_and_the_budget_is_exact(prepare: Prepare, states: States) -> None:
    prepared = prepare(search={"evaluations": 8, "sampler": "random"})
    with StudySearcher(prepared) as searcher:
        configs = [suggest(searcher, str(i)) for i in range(8)]
        assert searcher.suggest("9") is None
        for i in range(8):
            searcher.on_trial_complete(str(i), GOOD)
        assert searcher.suggest("9") == "FINISHED"
    assert [config["trial_number"] for config in configs] == list(range(8))
    landmarks = prepared.encoded_landmarks
    assert {config["landmark"]: config["params"] for config in configs[: len(landmarks)]} == landmarks
    assert states() == ["COMPLETE"] * 8


def test_whatever_is_no_score_is_a_failure_with_its_reason(
    prepare: Prepare, states: States, engine: Engine, study_name: str
) -> None:
    with StudySearcher(prepare(search={"evaluations": len(FAULTS), "sampler": "random"})) as searcher:
        for i, (told, _) in enumerate(FAULTS):
            suggest(searcher, str(i))
            searcher.on_trial_complete(str(i), **told)
    assert states() == ["FAIL"] * len(FAULTS)
    trials = load_study(engine, study_name).trials
    assert [trial.failure for trial in trials] == [reason for _, reason in FAULTS]


def test_no_more_trials_than_workers(prepare: Prepare) -> None:
    with StudySearcher(prepare()) as searcher:
        assert searcher.set_max_concurrency(1)
        suggest(searcher, "a")
        assert searcher.suggest("b") is None
        searcher.on_trial_complete("a", GOOD)
        assert suggest(searcher, "b")["trial_number"] == 1


def test_what_was_under_way_is_taken_back(prepare: Prepare, states: States, tmp_path: Path) -> None:
    """As `Tuner.restore` does it: from a file, and with the trials of the file's time."""
    with StudySearcher(prepare()) as searcher:
        stored = pickle.dumps(searcher)
        begun = {name: suggest(searcher, name) for name in "abc"}
        searcher.save(str(tmp_path / "state"))
        searcher.on_trial_complete("a", GOOD)  # after the file was written
    assert states()[:3] == ["COMPLETE", "WAITING", "WAITING"]
    with pickle.loads(stored) as restored:
        restored.restore(str(tmp_path / "state"))
        assert states()[:3] == ["COMPLETE", "RUNNING", "RUNNING"]
        assert suggest(restored, "d")["trial_number"] == 3
        for name in "abcd":
            restored.on_trial_complete(name, GOOD | {"alignment": 0.75})
    assert states()[:4] == ["COMPLETE"] * 4
    assert [config["trial_number"] for config in begun.values()] == [0, 1, 2]


def test_another_run_goes_on_with_the_same_parameters(prepare: Prepare) -> None:
    prepared = prepare(search={"landmarks": False})
    with StudySearcher(prepared) as searcher:
        begun = [suggest(searcher, name) for name in "ab"]
    with StudySearcher(prepared) as successor:
        assert [suggest(successor, name) for name in "ab"] == begun


def keep(error: Exception, folder: Path) -> list[Any]:
    """Trial `a` of Tune's, which ended in an error, as Tune keeps it."""
    path = folder / "error.pkl"
    path.write_bytes(pickle.dumps(error))
    return [SimpleNamespace(trial_id="a", pickled_error_file=str(path))]


def test_a_lost_worker_is_the_reason(prepare: Prepare, engine: Engine, study_name: str, tmp_path: Path) -> None:
    with StudySearcher(prepare()) as searcher:
        suggest(searcher, "a")
        searcher.watch(keep(ActorDiedError(), tmp_path))
        searcher.on_trial_complete("a", error=True)
    assert [trial.failure for trial in load_study(engine, study_name).trials] == ["worker_lost"]


def test_a_worker_that_cannot_start_ends_the_run(prepare: Prepare, states: States, tmp_path: Path) -> None:
    error = ActorDiedError()
    error._actor_init_failed = True
    error.error_msg = "Traceback\nCheckpointError: a shard is missing"
    with StudySearcher(prepare()) as searcher:
        suggest(searcher, "a")
        searcher.watch(keep(error, tmp_path))
        with pytest.raises(PoolError, match="one did not: CheckpointError: a shard is missing"):
            searcher.on_trial_complete("a", error=True)
    assert states()[0] == "WAITING"


def test_what_tune_cannot_do_is_refused(prepare: Prepare) -> None:
    with pytest.raises(SpecificationError, match=r"`search\.racing` must be false under Ray Tune"):
        StudySearcher(prepare(search={"racing": True}))
    objective = prepare().specification.objectives["alignment"].model_dump(mode="json", exclude_none=True)
    with pytest.raises(SpecificationError, match=r"`objectives\.pid` must not be called so"):
        StudySearcher(prepare(objectives={"pid": objective}))
    prepared = prepare()
    task = replace(prepared, measures={**prepared.measures, "alignment": Measure("lm_eval", ())})
    with pytest.raises(SpecificationError, match=r"`objectives\.alignment\.scorer` is 'lm_eval'"):
        merge_trainable(task, reports_shards=True)
