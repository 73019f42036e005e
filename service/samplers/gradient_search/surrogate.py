"""The model of all objectives around one point: a process each, of the length scale under which it is likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.samplers.gradient_search.evidence import Evidence
from service.samplers.gradient_search.gaussian_process import Correlations, GradientProcess, Observations
from service.samplers.gradient_search.scales import Scales

Indices = NDArray[np.intp]

# Length scales to choose from, in the unit cube of ten dimensions; distances grow with the root of their number.
_LENGTHS, _REFERENCE_DIMS = (0.25, 0.5, 1.0, 2.0, 4.0), 10
# Numbers, values and gradients' together, by which a length is chosen and by which a process is then fitted: a factor
# of 700 takes 10 ms.
_N_TO_CHOOSE, _N_TO_FIT = 300, 700


@dataclass(frozen=True, slots=True)
class Learnable:
    """What a model learns from.

    Args:
        evidence: all that is known.
        scales: of the objectives.
        gradient_noise: see `Observations`.
    """

    evidence: Evidence
    scales: Scales
    gradient_noise: float

    def around(self, centre: int, n_numbers: int) -> Indices:
        """The points nearest to one, as many as have so many numbers between them, ascending.

        Of a gradient that counts which lies in the span of the points: the rest is cheap.
        """
        points = self.evidence.points
        distances = ((points - points[centre]) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:n_numbers]
        n_graded = np.cumsum(self.evidence.graded[nearest])
        n_points = np.arange(1, len(nearest) + 1)
        n_told = n_points + n_graded * np.minimum(n_points - 1, points.shape[1])
        return np.sort(nearest[: max(1, int((n_told <= n_numbers).sum()))])


def fit(learnable: Learnable, centre: int) -> tuple[list[GradientProcess], Indices]:
    """A process per objective, and the points that they know.

    Args:
        learnable: all that is known.
        centre: index of the point around which they shall be true.
    """
    few, many = (learnable.around(centre, n_numbers) for n_numbers in (_N_TO_CHOOSE, _N_TO_FIT))
    choosing, fitting = _Fitting(learnable, few), _Fitting(learnable, many)
    objectives = range(learnable.evidence.values.shape[1])
    return [fitting.process(objective, choosing.likeliest(objective)) for objective in objectives], many


class _Fitting:
    """Processes over some of the points; those that differ by the objective alone share their factors."""

    def __init__(self, learnable: Learnable, chosen: Indices) -> None:
        known, scales, self._noise = learnable.evidence, learnable.scales, learnable.gradient_noise
        self._points, self._values = known.points[chosen], scales.learnt(known.values[chosen])
        self._slopes = scales.slopes(known.values[chosen], known.gradients[chosen])
        self._correlations = lru_cache(maxsize=None)(self._correlate)

    def likeliest(self, objective: int) -> float:
        """The length scale."""
        return max(_LENGTHS, key=lambda length: self.process(objective, length).log_likelihood)

    def process(self, objective: int, length: float) -> GradientProcess:
        known = np.isfinite(self._slopes[:, objective])
        graded = np.flatnonzero(known.any(axis=1))
        moves = known[graded].all(axis=0) & known.any(axis=0)
        correlations = self._correlations(tuple(graded.tolist()), tuple(np.flatnonzero(moves).tolist()), length)
        return GradientProcess(correlations, self._values[:, objective], self._slopes[graded, objective])

    def _correlate(self, graded: tuple[int, ...], moves: tuple[int, ...], length: float) -> Correlations:
        scale = np.sqrt(self._points.shape[1] / _REFERENCE_DIMS)
        moving = np.isin(np.arange(self._points.shape[1]), moves)
        observations = Observations(self._points, np.array(graded, dtype=np.intp), moving, self._noise)
        return Correlations(observations, float(length * scale))
