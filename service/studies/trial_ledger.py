"""The trials of a study as a driver knows them: each is counted when it comes and when it finishes, and never again."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from optuna.trial import FrozenTrial, TrialState

from service.studies.finished_trials import FinishedTrial, read_finished_trial
from service.studies.trial_cost import cost_of

_by_number = attrgetter("number")


# Of finished trials, those that were evaluated.
COUNTED = (TrialState.COMPLETE, TrialState.FAIL)


@dataclass(frozen=True, slots=True)
class Settled:
    """A part of a study that is known for good, but for its trials that wait or run.

    Args:
        up_to: the greatest Optuna's id of it.
        n_trials: how many it has.
        spent: what its finished trials cost.
    """

    up_to: int
    n_trials: int
    spent: float


class TrialLedger:
    """Trials by number, those that are not finished, and those that are, with what they cost.

    What is asked of it for each trial takes a time that does not grow with their number, or that of copying a list.
    A finished trial never changes.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._trials: list[FrozenTrial] = []
        self._unfinished: dict[int, FrozenTrial] = {}
        self._finished: list[FinishedTrial] = []
        self._arrivals: list[FinishedTrial] = []
        # Known, but others may lie before them that are not.
        self._unsettled: dict[int, FrozenTrial] = {}
        self._up_to = -1
        # What the finished trials cost, in evaluation-equivalents.
        self.spent = 0.0

    def __len__(self) -> int:
        return len(self._trials)

    def note(self, trial: FrozenTrial) -> None:
        """Take in a trial that is new or has changed."""
        if trial._trial_id > self._up_to:
            self._unsettled[trial._trial_id] = trial
        known = self._place(trial)
        if known is not None and known is not trial and known.state.is_finished():
            return
        if not trial.state.is_finished():
            self._unfinished[trial._trial_id] = trial
            return
        is_news = self._unfinished.pop(trial._trial_id, None) is not None or known is None
        if is_news and trial.state in COUNTED:
            self._count(read_finished_trial(trial))

    def _place(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Put it where its number belongs; what was there before."""
        at = bisect_left(self._numbers, trial.number)
        if at == len(self._numbers) or self._numbers[at] != trial.number:
            self._numbers.insert(at, trial.number)
            self._trials.insert(at, trial)
            return None
        before = self._trials[at]
        self._trials[at] = trial
        return before

    def _count(self, trial: FinishedTrial) -> None:
        insort(self._finished, trial, key=_by_number)
        self._arrivals.append(trial)
        self.spent += trial.cost

    def trials(self) -> list[FrozenTrial]:
        """All by number; not copied."""
        return list(self._trials)

    def unfinished(self) -> list[FrozenTrial]:
        """Those that wait or run, by number."""
        return sorted(self._unfinished.values(), key=_by_number)

    def finished(self) -> list[FinishedTrial]:
        """The complete and the failed ones, by number."""
        return list(self._finished)

    def arrived_after(self, n_known: int) -> Sequence[FinishedTrial]:
        """The finished ones after the first `n_known` that this driver learned of."""
        return self._arrivals[n_known:]

    @property
    def n_finished(self) -> int:
        """How many are complete or failed."""
        return len(self._finished)

    def settle(self) -> None:
        """Every trial of the study is here up to the last that is known."""
        self._up_to = max([self._up_to, *self._unsettled])
        self._unsettled.clear()

    @property
    def settled(self) -> Settled:
        """What need not be asked of the database any more."""
        beyond = [trial for trial in self._unsettled.values() if trial.state in COUNTED]
        spent = self.spent - sum(cost_of(trial.system_attrs) for trial in beyond)
        return Settled(self._up_to, len(self) - len(self._unsettled), spent)
