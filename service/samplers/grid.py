"""The paper's grid: a few values of each model's weight and density, the same in all groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.samplers._base import Sampler, SearchShape
from service.samplers.model_axes import Axis, ModelAxes
from service.samplers.relative_sampler import RelativeSampler

Levels = dict[Axis, tuple[float, ...]]

# Hammoud et al. 2024, section 5.1 and appendix B.
_FEW_MODELS, _MANY_MODELS = (0.25, 0.5, 1.0), (0.1, 0.25, 0.33, 0.5, 1.0)
_DENSITIES = (0.25, 0.5, 1.0)
_INTERPOLATIONS = tuple(tenth / 10 for tenth in range(1, 11))
# Halving intervals so often, neighbours differ by less than any search could tell.
_MOST_REFINEMENTS = 20
# A stride of the golden section of a cycle visits it evenly from the first steps on.
_GOLDEN = (math.sqrt(5) - 1) / 2


class Grid(Sampler):
    """Full factorial over the models' weights and densities, in an order that no chance has a part in.

    The points that give all models the same numbers, which are the paper's own, come first. When no point is left,
    the grid is refined: the bounds are added, and what lies half way between neighbours.
    """

    name = "grid"
    reference = "Hammoud et al. 2024, arXiv:2406.14563, section 5.1"
    is_random = False

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return _GridSampler(seed)


class _GridSampler(RelativeSampler):
    """Hands out the first point of the grid that no trial has.

    Args:
        seed: for draws where there is no grid: whole numbers that are used up.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        taken = {_key(each.params) for each in study.get_trials(deepcopy=False)}
        axes = ModelAxes(search_space)
        levels = first_levels(axes)
        for _ in range(_MOST_REFINEMENTS):
            free = (params for chosen in in_order(levels) if _key(params := axes.params(chosen)) not in taken)
            if (found := next(free, None)) is not None:
                return found
            levels = refined(levels)
        return {}  # every parameter is then drawn by itself


def first_levels(axes: ModelAxes) -> Levels:
    """The paper's values, clipped to the bounds."""
    weights = _FEW_MODELS if len(axes.weights) <= 2 else _MANY_MODELS
    levels = {axis: _INTERPOLATIONS if axis.parameter == "t" else weights for axis in axes.weights}
    return {
        axis: _within(axis, values) for axis, values in (levels | dict.fromkeys(axes.densities, _DENSITIES)).items()
    }


def refined(levels: Levels) -> Levels:
    """The same levels, the bounds, and what lies half way between neighbours."""
    found = {}
    for axis, values in levels.items():
        known = sorted({axis.low, *values, axis.high})
        found[axis] = _within(axis, [*known, *((one + other) / 2 for one, other in pairwise(known))])
    return found


def in_order(levels: Levels) -> Iterator[dict[Axis, float]]:
    """All points, of which those come first that give every model the same; the others spread over the grid."""
    return chain(_common(levels), _spread(levels))


def _common(levels: Levels) -> Iterator[dict[Axis, float]]:
    parameters = {axis.parameter: values for axis, values in levels.items()}
    for point in _spread(parameters):
        chosen = {axis: point[axis.parameter] for axis in levels}
        if all(value in levels[axis] for axis, value in chosen.items()):
            yield chosen


def _spread(levels: Mapping[Any, Sequence[float]]) -> Iterator[dict[Any, float]]:
    """Every point once: the grid's numbering is walked in strides that are coprime with its size."""
    size = math.prod(len(values) for values in levels.values())
    stride = max(1, round(size * _GOLDEN))
    while math.gcd(stride, size) > 1:
        stride += 1
    for step in range(size):
        rest, point = step * stride % size, {}
        for axis, values in levels.items():
            rest, digit = divmod(rest, len(values))
            point[axis] = values[digit]
        yield point


def _within(axis: Axis, values: Sequence[float]) -> tuple[float, ...]:
    clipped = (min(max(value, axis.low), axis.high) for value in values)
    return tuple(sorted({round(value) if axis.is_whole else value for value in clipped}))


def _key(params: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    return frozenset(params.items())
