"""Which point to evaluate next, and whether to ask for its gradient.

The objectives are modelled around one point of the front; the model is climbed from the front towards many of its
directions at once; and of the points reached that one is proposed which adds the most hypervolume to the front and to
what is being evaluated already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.pareto import hypervolume, non_dominated
from service.samplers.gradient_search.ascent import Ascent
from service.samplers.gradient_search.evidence import Evidence
from service.samplers.gradient_search.gaussian_process import VALUE_NOISE, GradientProcess
from service.samplers.gradient_search.scales import Scales
from service.samplers.gradient_search.surrogate import Learnable, fit

Array = NDArray[np.float64]

# Directions of the front that are climbed towards, by the number of objectives.
_N_DIRECTIONS, _N_DIRECTIONS_ELSE = {1: 4, 2: 16}, 32
# How far from the front's point the climb starts.
_JITTER = 0.02
# In standard deviations: a plain evaluation is spent where a gain is safe, a gradient where one is possible.
_WARY, _HOPEFUL = -0.5, 0.5
# Where the model knows an objective less well than to this share of its range, an evaluation shall teach it more.
_WELL_KNOWN = 0.05
# Candidates in a row without gradients, at most: small safe gains must not keep the model from growing.
_N_PLAIN = 3
# Gradients of a part of a set err by about so much of their variance.
_PARTIAL_NOISE = 1e-2


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a proposal rests on.

    Args:
        evidence: of the points that have values.
        reference: `n_objectives`.
        upper_bounds: one per objective, or none at all.
        pending: `n_pending x n_dims`, being evaluated.
        n_plain: how many candidates have been scored without gradients since the last one with.
        is_partial: whether gradients are of parts of the sets.
    """

    evidence: Evidence
    reference: Array
    upper_bounds: Sequence[float | None] = ()
    pending: Array = field(default_factory=lambda: np.empty((0, 0)))
    n_plain: int = 0
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point of the unit cube, and whether its gradient is worth its cost."""

    point: Array
    wants_gradient: bool


def propose(known: Knowledge, rng: np.random.Generator) -> Proposal:
    """The next point.

    Args:
        known: of one point at least.
        rng: draws directions and starts.
    """
    points, values = known.evidence.points, known.evidence.values
    scales = Scales.of(values, known.reference, known.upper_bounds)
    learnable = Learnable(known.evidence, scales, _PARTIAL_NOISE if known.is_partial else VALUE_NOISE)
    directions = _directions(values.shape[1], rng)
    # The best point known in each direction.
    fronts = (scales.learnt(values)[None] / directions[:, None]).min(axis=2).argmax(axis=1)
    processes, chosen = fit(learnable, int(rng.choice(fronts)))
    is_modelled = np.isin(fronts, chosen)
    starts = points[fronts[is_modelled]]
    starts = np.clip(starts + _JITTER * rng.standard_normal(starts.shape), 0.0, 1.0)
    reached = Ascent(processes, directions[is_modelled], starts).run()
    return _choose(_Gains(known, scales, processes), reached, known.n_plain)


def _directions(n_objectives: int, rng: np.random.Generator) -> Array:
    """Spread over the positive part of the sphere, `n x n_objectives`."""
    n = _N_DIRECTIONS.get(n_objectives, _N_DIRECTIONS_ELSE)
    if n_objectives == 2:
        angles = (np.arange(n) + rng.random()) / n * np.pi / 2
        found = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    else:
        found = np.abs(rng.standard_normal((n, n_objectives)))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
    positive: Array = np.maximum(found, 1e-3)
    return positive


class _Gains:
    """What points would add to the front, as far as the model knows."""

    def __init__(self, known: Knowledge, scales: Scales, processes: Sequence[GradientProcess]) -> None:
        self._scales, self._processes = scales, processes
        heights = scales.height(scales.learnt(known.evidence.values))
        if len(known.pending):
            heights = np.concatenate([heights, scales.height(self._means(known.pending))])
        heights = heights[(heights > 0).all(axis=1)]
        self._front = heights[non_dominated(heights)]

    def of(self, points: Array, hopes: Sequence[float]) -> tuple[list[Array], Array]:
        """What points gain at each hope, in standard deviations, `n` each; and how well they are known, `n`.

        That is the largest deviation of an objective, as a share of its range.
        """
        means = self._means(points)
        deviations = np.stack([process.deviation(points) for process in self._processes], axis=1)
        at_hope = [self._scales.height(means + hope * deviations) for hope in hopes]
        errors = self._scales.height(means) - self._scales.height(means - deviations)
        return [np.array([self._gain(height) for height in heights]) for heights in at_hope], errors.max(axis=1)

    def _means(self, points: Array) -> Array:
        return np.stack([process.mean(points)[0] for process in self._processes], axis=1)

    def _gain(self, height: Array) -> float:
        if (height <= 0).any():
            return 0.0
        origin = np.zeros(len(height))
        return float(height.prod()) - hypervolume(np.minimum(self._front, height), origin)


def _choose(gains: _Gains, reached: Array, n_plain: int) -> Proposal:
    (safe, possible), errors = gains.of(reached, (_WARY, _HOPEFUL))
    plain = int(safe.argmax())
    if n_plain < _N_PLAIN and safe[plain] > 0 and errors[plain] < _WELL_KNOWN:
        return Proposal(reached[plain], wants_gradient=False)
    return Proposal(reached[int(possible.argmax())], wants_gradient=True)
