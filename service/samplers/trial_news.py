"""What has finished in a study since the last look, without a look at what had finished before."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class TrialNews:
    """Reads a study's trials, each finished one once.

    It holds nothing that another process could not read from the same trials.
    """

    def __init__(self) -> None:
        self._n_seen = 0
        self._unfinished: Sequence[int] = ()

    def read(self, study: Study) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """The trials that are complete, since the last call, and those that run now; by number."""
        trials = study.get_trials(deepcopy=False)
        # Optuna numbers trials without gaps: a trial's number is its place.
        open_ones = [trials[number] for number in (*self._unfinished, *range(self._n_seen, len(trials)))]
        self._n_seen = len(trials)
        self._unfinished = [trial.number for trial in open_ones if not trial.state.is_finished()]
        complete = [trial for trial in open_ones if trial.state == TrialState.COMPLETE]
        return complete, [trial for trial in open_ones if trial.state == TrialState.RUNNING]
