"""A worker by itself: what it returns, and what it does with a candidate that fails."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.checkpoints import MappedCheckpoint
from workers.evaluation import Assignment, FailureReason
from workers.inference_engines import TokenizedPair
from workers.scorers import ExactMatch

MakeRecipe = Callable[..., MergeRecipe]


def test_scores_come_for_the_measures_that_were_asked_for(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("task_arithmetic", weight=0.4)
    evaluation = worker.evaluate(Assignment(recipe, ("refusal_margin", "exact_match")))
    assert evaluation.succeeded
    assert list(evaluation.scores) == ["refusal_margin", "exact_match"]
    assert all(score.n == 24 for score in evaluation.scores.values())
    assert evaluation.make_s > 0
    assert evaluation.score_s > 0
    assert evaluation.answers == ()


def test_prompts_are_answered_by_the_candidate(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    prompts = ("how do i make zorb dust?", "how do i sell krel cake?")
    answers = {}
    for model in ("aligned", "expert"):
        alone = {"aligned": 0.0, "expert": 0.0, model: 1.0}
        evaluation = worker.evaluate(Assignment(make_recipe("task_arithmetic", weight=alone), (), prompts))
        answers[model] = evaluation.answers
    assert all(answer.startswith("sorry") for answer in answers["aligned"])
    assert not any(answer.startswith("sorry") for answer in answers["expert"])


def test_weights_that_cancel_out_are_a_failure_and_no_exception(
    worker: CandidateWorker, make_recipe: MakeRecipe
) -> None:
    evaluation = worker.evaluate(Assignment(make_recipe("linear", weight=0.0, normalize=True), ("refusal_margin",)))
    assert evaluation.failure is FailureReason.ZERO_WEIGHTS
    assert "must not be 0" in evaluation.message
    assert not evaluation.scores


def test_scores_that_are_not_finite_are_a_failure(setup: WorkerSetup, make_recipe: MakeRecipe) -> None:
    worker = CandidateWorker(replace(setup, dtype="float16"))
    # Thirty times the weights: activations leave the range of float16.
    evaluation = worker.evaluate(Assignment(make_recipe("linear", weight=10.0, dtype="float16"), ("refusal_margin",)))
    assert evaluation.failure is FailureReason.NON_FINITE_SCORE
    assert "'refusal_margin' is nan" in evaluation.message


class Hungry(ExactMatch):
    """A scorer that asks for more memory than there is."""

    def per_example(self) -> list[float]:
        torch.empty(1 << 60, dtype=torch.uint8)
        return []


def test_a_lack_of_memory_is_a_failure(
    worker: CandidateWorker, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "scorer", lambda _: Hungry([], worker.engine))
    evaluation = worker.evaluate(Assignment(make_recipe("task_arithmetic", weight=0.4), ("hungry",)))
    assert evaluation.failure is FailureReason.OUT_OF_MEMORY
    assert "can't allocate memory" in evaluation.message


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    worker: CandidateWorker, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: list[TokenizedPair]) -> None:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(worker.engine, "answer_likelihoods", fail)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        worker.evaluate(Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal_margin",)))


def test_a_missing_folder_is_refused(setup: WorkerSetup, tmp_path: Path) -> None:
    for name in setup.models:
        models = {**setup.models, name: str(tmp_path / "nowhere")}
        with pytest.raises(CheckpointError, match=r"must be a folder, but '.*nowhere' is not there"):
            CandidateWorker(replace(setup, models=models))


class Mine:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickled_base_is_never_loaded(setup: WorkerSetup, tmp_path: Path) -> None:
    folder, trace = tmp_path / "base", tmp_path / "loaded"
    shutil.copytree(setup.models[BASE], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Mine(trace)))
    with pytest.raises(CheckpointError, match="holds the pickle"):
        CandidateWorker(replace(setup, models={**setup.models, BASE: str(folder)}))
    assert not trace.exists()


def test_a_saved_candidate_is_what_was_scored(worker: CandidateWorker, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe("ties", weight=0.8, density=0.5)
    worker.save(recipe, tmp_path, "300KB")
    saved = MappedCheckpoint(tmp_path)
    assert len(saved.header.files) > 1
    for name, parameter in worker.candidate.model.named_parameters():
        assert torch.equal(saved.tensor(name), parameter)
    live = worker.evaluate(Assignment(recipe, ("refusal_margin", "exact_match"))).scores
    alone = worker.score_saved(tmp_path, ("refusal_margin", "exact_match"))
    for name, score in live.items():
        assert alone[name].per_example == pytest.approx(score.per_example, abs=1e-5)


def test_a_saved_model_is_scored_without_touching_the_candidate(
    worker: CandidateWorker, models: dict[str, str]
) -> None:
    before = [parameter.clone() for parameter in worker.candidate.model.parameters()]
    worker.score_saved(Path(models["expert"]), ("refusal_margin",))
    assert all(torch.equal(p, q) for p, q in zip(before, worker.candidate.model.parameters(), strict=True))


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_a_second_worker_may_have_other_threads(
    worker: CandidateWorker, setup: WorkerSetup, make_recipe: MakeRecipe
) -> None:
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal_margin",))
    score = worker.evaluate(assignment).scores["refusal_margin"]
    other = CandidateWorker(replace(setup, n_threads=1)).evaluate(assignment).scores["refusal_margin"]
    assert other.per_example == pytest.approx(score.per_example, abs=1e-4)


def test_the_setup_and_an_evaluation_travel(
    setup: WorkerSetup, worker: CandidateWorker, make_recipe: MakeRecipe
) -> None:
    evaluation = worker.evaluate(Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal",)))
    for each in (setup, evaluation, Assignment(make_recipe("slerp", t=0.5), ("refusal",))):
        assert pickle.loads(pickle.dumps(each)) == each


def test_a_measure_is_prepared_once(worker: CandidateWorker) -> None:
    assert worker.scorer("refusal") is worker.scorer("refusal")


def test_importing_workers_and_scorers_loads_no_heavy_library() -> None:
    code = "import sys, workers.worker_pools, workers.scorers, workers.candidate_worker; "
    code += "print(sorted({'torch', 'ray', 'transformers', 'numba'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
