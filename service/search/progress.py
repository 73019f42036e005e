"""Where a search stands, whoever runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.pareto import RunningHypervolume
from service.studies import FinishedTrial, reference_point, saved_evaluations, spent_evaluations
from service.studies.trial_cost import is_spent


@dataclass(slots=True)
class SearchProgress:
    """Where a search stands; what the progress view shows.

    Args:
        n_finished: trials that are done, those of earlier runs included.
        spent: what they cost, in evaluation-equivalents.
        budget: of the same.
        n_failed: how many of them failed.
        best: the best value of each objective.
        hypervolume: of the front so far; None before the landmarks are done.
        saved_evaluations: by racing, those of earlier runs included.
        evaluations_per_s: in this run.
        last: the trial that was finished last.
    """

    n_finished: int
    spent: float
    budget: int
    n_failed: int = 0
    best: dict[str, float] = field(default_factory=dict)
    hypervolume: float | None = None
    saved_evaluations: float = 0.0
    evaluations_per_s: float = 0.0
    last: FinishedTrial | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at the present rate."""
        if not self.evaluations_per_s:
            return None
        return 0.0 if self.is_last else (self.budget - self.spent) / self.evaluations_per_s

    @property
    def is_last(self) -> bool:
        """Whether the budget is spent."""
        return is_spent(self.spent, self.budget)


class ProgressMeter:
    """Measures a search after each of its trials.

    Args:
        objectives: in the study's order.
        budget: evaluations in all.
        spent_at_start: of them, those that were done before; the rate is of what came since.
    """

    def __init__(self, objectives: Sequence[str], budget: int, spent_at_start: float) -> None:
        self._objectives = objectives
        self._budget = budget
        self._spent_at_start = spent_at_start
        self._started = time.monotonic()
        self._reference: tuple[float, ...] = ()
        self._hypervolume: RunningHypervolume | None = None
        self._counted: set[int] = set()

    def measure(
        self, trials: Sequence[FinishedTrial], last: FinishedTrial | None, has_landmarks: bool
    ) -> SearchProgress:
        """Where the search stands.

        Args:
            trials: the finished ones, by number.
            last: of them, the one that was finished last.
            has_landmarks: whether the landmarks are done, from which the reference point is taken.
        """
        succeeded = [trial for trial in trials if trial.succeeded]
        columns = zip(*(trial.values for trial in succeeded), strict=True)
        elapsed_s, spent = time.monotonic() - self._started, spent_evaluations(trials)
        return SearchProgress(
            n_finished=len(trials),
            spent=spent,
            budget=self._budget,
            n_failed=len(trials) - len(succeeded),
            best=dict(zip(self._objectives, map(max, columns), strict=False)),
            hypervolume=self._measure_hypervolume(trials) if has_landmarks and succeeded else None,
            saved_evaluations=saved_evaluations(trials),
            evaluations_per_s=(spent - self._spent_at_start) / elapsed_s,
            last=last,
        )

    def _measure_hypervolume(self, trials: Sequence[FinishedTrial]) -> float:
        reference = reference_point(trials, len(self._objectives))
        if self._hypervolume is None or reference != self._reference:
            # It moves at first where there are no landmarks.
            self._reference, self._hypervolume = reference, RunningHypervolume(reference)
            self._counted.clear()
        for trial in trials:
            if trial.succeeded and trial.number not in self._counted:
                self._counted.add(trial.number)
                self._hypervolume.add(trial.values)
        return self._hypervolume.value
