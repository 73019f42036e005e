"""What has finished in a study since the last look, without a look at what had finished before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class TrialNews:
    """Reads a study's trials, each finished one once.

    It holds nothing that another process could not read from the same trials.
    """

    def __init__(self) -> None:
        self._next = 0
        # Numbers before that of trials that are not finished, or not known yet: another driver may just have made one.
        self._open: Sequence[int] = ()

    def read(self, study: Study) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """The trials that are complete, since the last call, and those that run now; by number."""
        trials = study.get_trials(deepcopy=False)
        n_numbers = trials[-1].number + 1 if trials else 0
        looked_at = {number: _at(trials, number) for number in (*self._open, *range(self._next, n_numbers))}
        known = [trial for trial in looked_at.values() if trial is not None]
        self._next = max(self._next, n_numbers)
        self._open = [number for number, trial in looked_at.items() if trial is None or not trial.state.is_finished()]
        complete = [trial for trial in known if trial.state == TrialState.COMPLETE]
        return complete, [trial for trial in known if trial.state == TrialState.RUNNING]


def _at(trials: Sequence[FrozenTrial], number: int) -> FrozenTrial | None:
    """The trial of a number, among trials by number; its place, where none before it is missing."""
    place = number
    if place >= len(trials) or trials[place].number != number:
        place = bisect_left(trials, number, key=attrgetter("number"))
    return trials[place] if place < len(trials) and trials[place].number == number else None
