"""Scores of models: of folders in this process, of trials by the workers of their search."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from search_spaces.errors import CandidateError
from service.evaluations.evaluated_models import EvaluatedModels
from service.search.preparation import PreparedSearch, open_pool
from workers.candidate_worker import Measure
from workers.evaluation import Assignment, Score
from workers.inference_engines.opening import load_engine
from workers.worker_pools import WorkerPool

# Model → measure → score.
ModelScores = dict[str, dict[str, Score]]
# Told of each model's name before it is scored.
Tell = Callable[[str], None]


def score_export(models: EvaluatedModels, measures: Mapping[str, Measure], tell: Tell) -> ModelScores:
    """Load one model after the other in this process, on a GPU where there is one.

    Raises:
        CheckpointError: a folder holds no causal language model with a tokenizer.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    found: ModelScores = {}
    for name in models.names:
        tell(name)
        found[name] = _score_folder(models.folders[name], device, measures)
        # A model holds on to itself in cycles: its memory would be free only some time after the next is loaded.
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    return found


def _score_folder(folder: Path, device: str, measures: Mapping[str, Measure]) -> dict[str, Score]:
    # On a CPU float32 is faster than 16 bits.
    engine = load_engine(str(folder), "float32" if device == "cpu" else "auto", device)
    return {measure: of.over(engine).score() for measure, of in measures.items()}


def score_trial(
    prepared: PreparedSearch, models: EvaluatedModels, measures: Mapping[str, Measure], tell: Tell
) -> ModelScores:
    """Let the workers of a search make what is a candidate and load what is a folder.

    Raises:
        PoolError: the workers do not start, or are lost.
        CandidateError: a candidate could not be made or scored.
    """
    setup = replace(prepared.worker_setup(), measures=dict(measures))
    found: ModelScores = {}
    with open_pool(setup, prepared.specification.workers) as pool:
        for name in models.names:
            tell(name)
            found[name] = _score(pool, models, name, tuple(measures))
    return found


def _score(pool: WorkerPool, models: EvaluatedModels, name: str, measures: tuple[str, ...]) -> dict[str, Score]:
    if name not in models.recipes:
        return pool.score_saved(models.folders[name].absolute(), measures)
    evaluation = pool.evaluate(Assignment(models.recipes[name], measures))
    if evaluation.failure is not None:
        raise CandidateError(
            evaluation.failure,
            f"'{name}' must be made and scored, but it failed ({evaluation.failure}): {evaluation.message}",
        )
    return dict(evaluation.scores)
