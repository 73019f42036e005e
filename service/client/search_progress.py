"""Where a search stands, from the events of a service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.api.schemas import Points
from service.search import SearchProgress
from service.search.progress import ProgressMeter
from service.studies import FinishedTrial
from service.studies.trial_cost import is_spent


class RemoteProgress:
    """Keeps `SearchProgress` up to date from `points` events, one candidate at a time as a search here would.

    Args:
        objectives: in the study's order.
        budget: evaluations in all.
        n_finished: trials that were done before; nothing is said of them.
        spent: what they cost; None where that is one evaluation each.
    """

    def __init__(self, objectives: tuple[str, ...], budget: int, n_finished: int, spent: float | None = None) -> None:
        self._objectives = objectives
        self._budget = budget
        self._n_told = n_finished
        self._meter = ProgressMeter(objectives, budget, n_finished if spent is None else spent)

    def take(self, points: Points) -> Iterator[SearchProgress]:
        """Count what an event tells of; where the search stood after each candidate that is new."""
        if points.reset:
            self._meter.restart()
        yield from self.count(self._trials_of(points))

    def count(self, trials: Iterable[FinishedTrial]) -> Iterator[SearchProgress]:
        """Count trials, some of which may be known; where the search stood after each that is new."""
        for trial in trials:
            if self._meter.count(trial) and self._meter.n_finished > self._n_told:
                self._n_told = self._meter.n_finished
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
                cost=points.costs[i] if points.costs else 1.0,
            )

    def _progress(self, last: FinishedTrial) -> SearchProgress:
        # Landmarks are asked first: they are done once a candidate of the sampler's is, or all.
        is_last = is_spent(self._meter.spent, self._budget)
        has_landmarks = is_last or self._meter.n_finished > self._meter.n_landmarks
        return self._meter.measure(last, has_landmarks)
