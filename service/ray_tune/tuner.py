"""A Tuner that drives a search, wired and ready to `fit`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ray import tune

from search_spaces.errors import SpecificationError
from service.ray_tune.searcher import StudySearcher
from service.ray_tune.study_callback import StudyCallback
from service.ray_tune.trainable import MergeTrainable
from service.search import PreparedSearch
from workers.scorers import SCORERS
from workers.worker_pools.ray_pool import MAX_ATTEMPTS


def merge_tuner(
    prepared: PreparedSearch,
    *,
    run_config: tune.RunConfig | None = None,
    scheduler: Any = None,
    reports_shards: bool = False,
    reuse_actors: bool = True,
    trainable: type[MergeTrainable] = MergeTrainable,
) -> tune.Tuner:
    """Wire study, workers and Tune; as many trials run at once as `workers.count` says.

    To run a search again that was interrupted, make the same Tuner again: the study goes on.

    Args:
        prepared: the search; `service.search.prepare_search` makes it of a specification.
        run_config: name and place of the run, callbacks, failures; by default a trial is tried three times.
        scheduler: of Tune's; it can stop candidates only if they report shards.
        reports_shards: see `MergeTrainable.setup`.
        reuse_actors: whether workers keep their models from trial to trial.
        trainable: what makes and scores candidates.

    Raises:
        SpecificationError: what Tune cannot do is asked for.
    """
    searcher = StudySearcher(prepared)
    given = run_config or tune.RunConfig(failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS - 1))
    config = replace(given, callbacks=[StudyCallback(searcher), *(given.callbacks or ())])
    if config.checkpoint_config.checkpoint_at_end is None:
        # A candidate is its coefficients: there is nothing to keep.
        config.checkpoint_config = replace(config.checkpoint_config, checkpoint_at_end=False)
    tune_config = tune.TuneConfig(
        search_alg=searcher,
        scheduler=scheduler,
        num_samples=prepared.specification.search.evaluations,  # at most; the study knows when its budget is spent
        max_concurrent_trials=prepared.specification.workers.count,
        reuse_actors=reuse_actors,
        trial_name_creator=_name,
        trial_dirname_creator=_folder,
    )
    made = merge_trainable(prepared, reports_shards=reports_shards, trainable=trainable)
    return tune.Tuner(made, tune_config=tune_config, run_config=config)


def merge_trainable(
    prepared: PreparedSearch, *, reports_shards: bool = False, trainable: type[MergeTrainable] = MergeTrainable
) -> type[MergeTrainable]:
    """The trainable with its parameters, which travel to each worker once, and the resources of `workers`.

    Raises:
        SpecificationError: shards are asked of a set that cannot be scored in parts.
    """
    if reports_shards:
        _check_shards(prepared)
    with_parameters = tune.with_parameters(
        trainable,
        worker_setup=prepared.worker_setup(),
        search_space=prepared.space,
        objectives=prepared.objectives,
        reports_shards=reports_shards,
    )
    workers = prepared.specification.workers
    resources = {"cpu": workers.cpus_per_worker, "gpu": workers.gpus_per_worker}
    made: type[MergeTrainable] = tune.with_resources(with_parameters, resources)
    return made


def _check_shards(prepared: PreparedSearch) -> None:
    for name in prepared.objectives:
        scorer = prepared.measures[name].scorer
        if SCORERS[scorer].brings_examples:
            raise SpecificationError(
                "Shards must be parts of known sets, but `objectives." + name + f".scorer` is '{scorer}', which brings "
                "its own examples. Leave `reports_shards` out, or choose another scorer."
            )


def _name(trial: Any) -> str:
    return f"trial_{trial.config['trial_number']:05d}"


def _folder(trial: Any) -> str:
    """Unlike any other's: a study that goes on may have lost a trial of the same number."""
    return f"{_name(trial)}_{trial.trial_id}"
