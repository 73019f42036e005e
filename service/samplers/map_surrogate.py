"""MAP: a quadratic model of each objective over one weight per model, and the Pareto front of these models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.pareto import non_dominated
from service.samplers._base import Sampler, SearchShape
from service.samplers.model_axes import Axis, ModelAxes
from service.samplers.relative_sampler import RelativeSampler

Points = NDArray[np.float64]

# Drawn over the box for each proposal: with two weights, neighbours are 1 / 64 of the range apart.
_N_DRAWN = 4096
# Of the front's range; closer predictions are of the same merge.
_SAME = 1e-6


class Map(Sampler):
    """Model merging with amortised Pareto front: design, quadratic fit by least squares, front of the fit.

    Each model has one weight, the same in every group, whatever the granularity; its other parameters are constants.
    Of N weights, (N + 1)(N + 2) trials are spread over the box, twice what a quadratic has coefficients, as in the
    authors' code. From then on, each trial is the point of the fitted front that is farthest from what has been
    tried; where the paper fits once and stops, every trial that finishes refines the fit.
    """

    name = "map"
    reference = "Li et al. 2024, arXiv:2406.07529"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return _MapSampler(seed)


class _MapSampler(RelativeSampler):
    """Proposes from the study's trials alone."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        axes = ModelAxes(search_space)
        weights = axes.weights
        known, values, tried = _seen(study.get_trials(deepcopy=False), axes)
        drawn = np.random.default_rng(self._seed).random((_N_DRAWN, len(weights)))
        n = len(weights)
        best = _farthest(drawn, tried) if len(known) < (n + 1) * (n + 2) else next_on_front(drawn, known, values, tried)
        return axes.params({axis: _scaled(axis, x) for axis, x in zip(weights, best, strict=True)})


def next_on_front(drawn: Points, known: Points, values: Points, tried: Points) -> Points:
    """The drawn point on the fitted front that is farthest from all that was tried, as the fit predicts values.

    Args:
        drawn: `n_drawn x n_weights` in the unit cube.
        known: `n_known x n_weights`, the points that have values.
        values: `n_known x n_objectives`, to be maximised.
        tried: `n_tried x n_weights`, the known ones and those under way or failed.

    Returns:
        `n_weights`; where the whole fitted front has been tried, what is farthest from it in the cube.
    """
    coefficients = fit_quadratic(known, values)
    predicted = quadratic_terms(drawn) @ coefficients
    on_front = non_dominated(predicted)
    front = predicted[on_front]
    ranges = np.maximum(np.ptp(front, axis=0), _SAME * np.ptp(predicted, axis=0) + np.finfo(float).tiny)
    distances = _distances(front / ranges, quadratic_terms(tried) @ coefficients / ranges)
    if distances.max() < _SAME:
        return _farthest(drawn, tried)
    return np.asarray(drawn[on_front][distances.argmax()])


def quadratic_terms(points: Points) -> Points:
    """`n_points x (N + 1)(N + 2) / 2`: 1, each weight, each product of two."""
    rows, columns = np.triu_indices(points.shape[1])
    return np.hstack([np.ones((len(points), 1)), points, points[:, rows] * points[:, columns]])


def fit_quadratic(points: Points, values: Points) -> Points:
    """`n_terms x n_objectives` by least squares; of several fits, the one of least norm."""
    return np.asarray(np.linalg.lstsq(quadratic_terms(points), values, rcond=None)[0])


def _seen(trials: Sequence[FrozenTrial], axes: ModelAxes) -> tuple[Points, Points, Points]:
    """Points with values, their values, and all points; of trials that give each model one weight."""
    n = len(axes.weights)
    placed = [
        (trial, [_unit(axis, value) for axis, value in chosen.items()])
        for trial in trials
        if (chosen := axes.chosen(axes.weights, trial.params)) is not None
    ]
    finished = [(point, trial.values) for trial, point in placed if trial.state == TrialState.COMPLETE]
    tried = np.array([point for _, point in placed]).reshape(-1, n)
    known = np.array([point for point, _ in finished]).reshape(-1, n)
    return known, np.array([values for _, values in finished]), tried


def _farthest(drawn: Points, tried: Points) -> Points:
    """The drawn point that is farthest from all that was tried; the first where nothing was."""
    return np.asarray(drawn[_distances(drawn, tried).argmax()])


def _distances(points: Points, others: Points) -> Points:
    """`n_points`: how far each is from the nearest other."""
    nearest = np.full(len(points), np.inf)
    for other in others:
        nearest = np.minimum(nearest, np.linalg.norm(points - other, axis=1))
    return nearest


def _unit(axis: Axis, value: float) -> float:
    return (value - axis.low) / (axis.high - axis.low)


def _scaled(axis: Axis, x: float) -> float:
    return float(axis.low + x * (axis.high - axis.low))
