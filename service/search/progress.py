"""Where a search stands, whoever runs it."""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from service.pareto import RunningHypervolume
from service.studies import FinishedTrial, reference_point
from service.studies.finished_trials import N_STAND_INS
from service.studies.trial_cost import is_spent

_by_number = attrgetter("number")


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
    """Measures a search after each of its trials, each of which is counted once.

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
        self.restart()

    def restart(self) -> None:
        """Count from nothing, as where a study was made again; the rate goes on."""
        self._numbers: set[int] = set()
        self._best: tuple[float, ...] = ()
        self._n_failed = 0
        self._saved = 0.0
        self._volume = _FrontVolume(len(self._objectives))
        self.n_landmarks = 0
        self.spent = 0.0

    @property
    def n_finished(self) -> int:
        """How many trials have been counted."""
        return len(self._numbers)

    def count(self, trial: FinishedTrial) -> bool:
        """Count a finished trial.

        Returns:
            Whether it is new.
        """
        if trial.number in self._numbers:
            return False
        self._numbers.add(trial.number)
        self.n_landmarks += bool(trial.landmark)
        self.spent += trial.cost
        self._saved += 1.0 - trial.share
        if trial.succeeded:
            self._best = tuple(map(max, self._best, trial.values)) if self._best else trial.values
            self._volume.add(trial)
        else:
            self._n_failed += 1
        return True

    def measure(self, last: FinishedTrial | None, has_landmarks: bool) -> SearchProgress:
        """Where the search stands.

        Args:
            last: of the trials that were counted, the one that was finished last.
            has_landmarks: whether the landmarks are done, from which the reference point is taken.
        """
        elapsed_s = time.monotonic() - self._started
        return SearchProgress(
            n_finished=self.n_finished,
            spent=self.spent,
            budget=self._budget,
            n_failed=self._n_failed,
            best=dict(zip(self._objectives, self._best, strict=False)),
            hypervolume=self._volume.measure() if has_landmarks and self._best else None,
            saved_evaluations=self._saved,
            evaluations_per_s=(self.spent - self._spent_at_start) / elapsed_s,
            last=last,
        )


class _FrontVolume:
    """The hypervolume of the trials so far; a trial costs what it adds, but where the reference point moves."""

    def __init__(self, n_objectives: int) -> None:
        self._n_objectives = n_objectives
        # What the reference point is taken from: landmarks, and the first of the others by number.
        self._landmarks: list[FinishedTrial] = []
        self._first: list[FinishedTrial] = []
        self._trials: list[FinishedTrial] = []
        self._uncounted: list[FinishedTrial] = []
        self._running: RunningHypervolume | None = None

    def add(self, trial: FinishedTrial) -> None:
        """One that succeeded."""
        self._trials.append(trial)
        self._uncounted.append(trial)
        if trial.landmark:
            self._landmarks.append(trial)
            self._running = None
        elif not self._landmarks:
            insort(self._first, trial, key=_by_number)
            if trial in self._first[:N_STAND_INS]:
                self._running = None  # it moves at first where there are no landmarks
            del self._first[N_STAND_INS:]

    def measure(self) -> float:
        """From the reference point as it is now."""
        if self._running is None:
            reference = reference_point(self._landmarks or self._first, self._n_objectives)
            self._running, self._uncounted = RunningHypervolume(reference), sorted(self._trials, key=_by_number)
        for trial in self._uncounted:
            self._running.add(trial.values)
        self._uncounted.clear()
        return self._running.value
