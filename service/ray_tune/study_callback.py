"""What a searcher of Ray Tune's is not told: errors, the end of a run; and what need not be in Tune's files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune import Callback

from service.ray_tune.reports import take_details
from service.ray_tune.searcher import StudySearcher


class StudyCallback(Callback):  # type: ignore[misc]
    """Stands beside a `StudySearcher`, before all other callbacks.

    Args:
        searcher: of the same run.
    """

    def __init__(self, searcher: StudySearcher) -> None:
        self._searcher = searcher

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Show the searcher Tune's trials."""
        self._searcher.watch(trials)

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Take scores by example out of the result, before loggers write it and Tune keeps it."""
        self._searcher.keep(trial.trial_id, take_details(result))

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        """Leave the study, also when the run was interrupted."""
        self._searcher.close()
