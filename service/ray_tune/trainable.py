"""A candidate worker as a trainable of Ray Tune's: models stay loaded from trial to trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ray.tune import Trainable
from ray.tune.result import DONE

from search_spaces import SearchSpace
from service.ray_tune.reports import report_of
from service.ray_tune.shard_scores import ShardScores
from workers.candidate_worker import WorkerSetup
from workers.evaluation import Assignment, GradientRequest


class MergeTrainable(Trainable):  # type: ignore[misc]
    """Makes and scores the candidate of each trial, by the config that `StudySearcher` suggests.

    With `TuneConfig(reuse_actors=True)` the next trial changes coefficients and nothing else: base and experts are
    read once for each worker. `merge_trainable` hands the parameters of `setup` to it.
    """

    def setup(
        self,
        config: dict[str, Any],
        worker_setup: WorkerSetup,
        search_space: SearchSpace,
        objectives: tuple[str, ...],
        reports_shards: bool = False,
    ) -> None:
        """Load the models.

        Args:
            config: of the first trial.
            worker_setup: models, sets, device.
            search_space: by which parameters become recipes.
            objectives: the measures that are scored.
            reports_shards: whether to report after each shard of the examples; see `workers.racing.shards`. Landmarks,
                by which others are measured, and trials with gradients are scored whole all the same.
        """
        self._space = search_space
        self._objectives = objectives
        self._reports_shards = reports_shards
        self._worker = worker_setup.worker_class(worker_setup)
        self._sizes = {name: len(worker_setup.measures[name].examples) for name in objectives}
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Turn to another trial."""
        self._take(new_config)
        return True

    def _take(self, config: Mapping[str, Any]) -> None:
        gradient = config.get("gradient")
        request = None if gradient is None else GradientRequest(**{**gradient, "measures": tuple(gradient["measures"])})
        self._assignment = Assignment(self._space.decode(config["params"]), self._objectives, gradient=request)
        self._is_in_parts = self._reports_shards and request is None and not config["landmark"]
        self._shard_scores = ShardScores(self._sizes)

    def step(self) -> dict[str, Any]:
        """Score the candidate, or its next shard."""
        if not self._is_in_parts:
            return report_of(self._worker.evaluate(self._assignment), self._objectives) | {DONE: True}
        # To make a candidate that is live already writes nothing.
        part = self._worker.evaluate(replace(self._assignment, look=self._shard_scores.n_looks))
        if not part.succeeded:
            return report_of(part, self._objectives) | {DONE: True}
        self._shard_scores.add(part)
        evaluation = self._shard_scores.evaluation()
        return report_of(evaluation, self._objectives) | {DONE: evaluation.is_whole}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """What a scheduler that pauses a trial is to keep: no weights, which are made again."""
        return self._shard_scores.state()

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Go on with a trial that was paused."""
        if checkpoint:
            self._shard_scores.restore(checkpoint)
