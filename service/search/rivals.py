"""Whom a candidate races against: a few trials of the present front, with their scores example by example."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.pareto import hypervolume
from service.search.preparation import PreparedSearch
from service.search.selection import front_of
from service.studies import AskedTrial, FinishedTrial, SearchStudy, reference_point
from workers.evaluation import Evaluation, Rival, Score

# More of them stop little more (the eight that dominate most dominate nearly all that the front does), and each makes
# every test stricter.
MAX_RIVALS = 8
# Pickled, a number is 9 bytes: an assignment stays below a megabyte, unless one rival's sets alone are larger.
MAX_NUMBERS = 100_000


class RivalChoice:
    """Chooses rivals whenever the front has changed; it may have been changed by other drivers.

    The scores of what this driver tells are kept at hand, those of other trials are read once.

    Args:
        prepared: the search.
        study: its study.
    """

    def __init__(self, prepared: PreparedSearch, study: SearchStudy) -> None:
        self._study = study
        self._sizes = {name: len(prepared.measures[name].examples) for name in prepared.objectives}
        self._n_rivals = max(1, min(MAX_RIVALS, MAX_NUMBERS // sum(self._sizes.values())))
        self._known: dict[int, Rival | None] = {}
        self._n_arrived = 0
        # In the order of `front_of`.
        self._front: list[FinishedTrial] = []
        self._chosen: tuple[Rival, ...] = ()

    def remember(self, number: int, evaluation: Evaluation) -> None:
        """Keep what this driver has told of a trial, which may be on the front now."""
        if evaluation.is_whole:
            self._known[number] = self._as_rival(evaluation.scores)

    def against(self, trial: AskedTrial) -> tuple[Rival, ...]:
        """The rivals of a trial; none for a landmark, whose values others are measured by."""
        if trial.landmark:
            return ()
        # Whoever has left the front is never on it again: what is new need not be compared with anybody else.
        news = self._study.arrived_after(self._n_arrived)
        self._n_arrived += len(news)
        front = front_of([*self._front, *news]) if news else self._front
        if front != self._front:
            self._front, self._chosen = front, self._choose(front)
        numbers = {member.number for member in front}
        self._known = {number: rival for number, rival in self._known.items() if number in numbers}
        return self._chosen

    def _choose(self, front: Sequence[FinishedTrial]) -> tuple[Rival, ...]:
        values = np.array([trial.values for trial in front])
        reference = reference_point(self._study.finished_trials(), values.shape[1])
        chosen = most_dominating(values, reference, self._n_rivals)
        rivals = (self._rival(front[index].number) for index in chosen)
        return tuple(rival for rival in rivals if rival is not None)

    def _rival(self, number: int) -> Rival | None:
        if number not in self._known:
            self._known[number] = self._as_rival(self._study.trial_scores(number))
        return self._known[number]

    def _as_rival(self, scores: Mapping[str, Score]) -> Rival | None:
        """None where a score lacks its examples: against such a trial nothing can be compared."""
        found = {name: scores[name] for name in self._sizes if name in scores}
        sizes = {name: len(score.per_example) for name, score in found.items()}
        return Rival(found) if sizes == self._sizes else None


def most_dominating(values: NDArray[np.float64], reference: Sequence[float], n: int) -> list[int]:
    """The points that together dominate most: each one adds the most hypervolume to those before it.

    That is within 1 - 1/e of the best choice (Nemhauser et al. 1978), for hypervolume is submodular: what a point adds
    never grows, so that a point is looked at again only while what it last added is the largest (Minoux 1978).

    Args:
        values: `n_points x n_objectives`, to be maximised.
        reference: `n_objectives`.
        n: how many points, at most.

    Returns:
        Indices; the first of a tie.
    """
    chosen: list[int] = []
    volume = 0.0
    waiting = [(-math.inf, index) for index in range(len(values))]
    while waiting and len(chosen) < n:
        _, index = heapq.heappop(waiting)
        gain = hypervolume(values[[*chosen, index]], reference) - volume
        if waiting and (-gain, index) > waiting[0]:
            heapq.heappush(waiting, (-gain, index))
            continue
        chosen.append(index)
        volume += gain
    return chosen
