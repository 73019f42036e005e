"""Where a search stands, from the events of a service."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from service.api.schemas import Points
from service.pareto import RunningHypervolume
from service.search import SearchProgress
from service.studies import FinishedTrial, reference_point, saved_evaluations


class RemoteProgress:
    """Keeps `SearchProgress` up to date from `points` events, one candidate at a time as a search here would.

    Args:
        objectives: in the study's order.
        budget: evaluations in all.
        n_finished: those that were done before; nothing is said of them.
    """

    def __init__(self, objectives: tuple[str, ...], budget: int, n_finished: int) -> None:
        self._objectives = objectives
        self._budget = budget
        self._n_at_start = self._n_told = n_finished
        self._started = time.monotonic()
        self._trials: dict[int, FinishedTrial] = {}
        self._reference: tuple[float, ...] = ()
        self._hypervolume = RunningHypervolume((0.0,))
        self._counted: set[int] = set()

    def take(self, points: Points) -> Iterator[SearchProgress]:
        """Count what an event tells of; where the search stood after each candidate that is new."""
        if points.reset:
            self._trials.clear()
        yield from self.count(self._trials_of(points))

    def count(self, trials: Iterable[FinishedTrial]) -> Iterator[SearchProgress]:
        """Count trials, some of which may be known; where the search stood after each that is new."""
        for trial in trials:
            self._trials[trial.number] = trial
            if len(self._trials) > self._n_told:
                self._n_told = len(self._trials)
                yield self._progress(trial)

    def _trials_of(self, points: Points) -> Iterator[FinishedTrial]:
        for i, number in enumerate(points.numbers):
            values = tuple(points.values[name][i] for name in self._objectives)
            errors = tuple(points.standard_errors[name][i] for name in self._objectives)
            known = tuple(value for value in values if value is not None)
            yield FinishedTrial(
                number=number,
                params={},
                values=known,
                standard_errors=errors if known else (),
                landmark=points.landmarks[i] or "",
                make_s=0.0,
                score_s=0.0,
                failure=points.failures[i] or "",
            )

    def _progress(self, last: FinishedTrial) -> SearchProgress:
        trials = sorted(self._trials.values(), key=lambda trial: trial.number)
        succeeded = [trial for trial in trials if trial.succeeded]
        columns = zip(*(trial.values for trial in succeeded), strict=True)
        elapsed_s = time.monotonic() - self._started
        return SearchProgress(
            n_finished=len(trials),
            budget=self._budget,
            n_failed=len(trials) - len(succeeded),
            best=dict(zip(self._objectives, map(max, columns), strict=False)),
            hypervolume=self._measure(trials) if succeeded else None,
            saved_evaluations=saved_evaluations(trials),
            evaluations_per_s=(len(trials) - self._n_at_start) / elapsed_s,
            last=last,
        )

    def _measure(self, trials: list[FinishedTrial]) -> float | None:
        """Known once a candidate of the sampler's is done, or all: landmarks are asked first, and set the reference."""
        if all(trial.landmark for trial in trials) and len(trials) < self._budget:
            return None
        reference = reference_point(trials, len(self._objectives))
        if reference != self._reference:
            self._reference, self._hypervolume = reference, RunningHypervolume(reference)
            self._counted.clear()
        for trial in trials:
            if trial.succeeded and trial.number not in self._counted:
                self._counted.add(trial.number)
                self._hypervolume.add(trial.values)
        return self._hypervolume.value
