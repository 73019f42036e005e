"""Which of a trial's parameters say the same of one model, in one group after the other: read from their names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search_spaces.method_signature import LEADING_NAMES

_NEUTRAL = {"density": math.inf, "lambda": 1.0}


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter of one model, with one value for all groups.

    Args:
        owner: the model, or `*` for what all share.
        parameter: its name in the merge method.
        bounds: trial parameter, low and high, for each group.
        is_whole: whether values are whole numbers.
    """

    owner: str
    parameter: str
    bounds: tuple[tuple[str, float, float], ...]
    is_whole: bool

    @property
    def low(self) -> float:
        """The least that a group allows."""
        return min(low for _, low, _ in self.bounds)

    @property
    def high(self) -> float:
        """The most that a group allows."""
        return max(high for _, _, high in self.bounds)

    @property
    def constant(self) -> float:
        """A sensible value where the parameter is not varied: full density, lambda 1, switches off, else half way."""
        if self.is_whole:
            return self.low
        return _NEUTRAL.get(self.parameter, (self.low + self.high) / 2)

    def params(self, value: float) -> dict[str, float]:
        """The value in every group, clipped to the group's bounds."""
        near = {name: min(max(value, low), high) for name, low, high in self.bounds}
        return {name: round(each) if self.is_whole else each for name, each in near.items()}

    def value(self, params: Mapping[str, float]) -> float | None:
        """The value whose `params` these are; None where groups differ by more than their bounds."""
        widest = max(self.bounds, key=lambda bound: bound[2] - bound[1])[0]
        # Bounds may overlap in part only: of all groups' values one must explain the others.
        found = [params[widest], *(params[name] for name, _, _ in self.bounds)]
        return next((v for v in found if all(params[k] == each for k, each in self.params(v).items())), None)


class ModelAxes:
    """The axes of a search space.

    Args:
        search_space: parameters named `owner/group/parameter`; one without a slash is an axis by itself.
    """

    def __init__(self, search_space: Mapping[str, BaseDistribution]) -> None:
        self._space = search_space
        by_key = sorted(search_space, key=lambda name: (_key(name), name))
        self.all = tuple(_axis(key, list(names), search_space) for key, names in groupby(by_key, _key))

    @property
    def weights(self) -> tuple[Axis, ...]:
        """How much of each model is merged; all axes where the method has no such parameter."""
        return tuple(axis for axis in self.all if axis.parameter in LEADING_NAMES) or self.all

    @property
    def densities(self) -> tuple[Axis, ...]:
        """How much of each task vector is kept."""
        return tuple(axis for axis in self.all if axis.parameter == "density" and axis not in self.weights)

    def params(self, chosen: Mapping[Axis, float]) -> dict[str, float]:
        """A trial's parameters from the values of some axes; the others have their constants."""
        found: dict[str, float] = {}
        for axis in self.all:
            found |= axis.params(chosen.get(axis, axis.constant))
        return {name: found[name] for name in self._space}

    def chosen(self, axes: tuple[Axis, ...], params: Mapping[str, float]) -> dict[Axis, float] | None:
        """The inverse of `params`; None for parameters that no values of these axes stand for."""
        if params.keys() != self._space.keys():
            return None
        values = {axis: value for axis in axes if (value := axis.value(params)) is not None}
        return values if len(values) == len(axes) and self.params(values) == params else None


def _key(name: str) -> tuple[str, str]:
    owner, _, rest = name.partition("/")
    return owner, rest.rpartition("/")[2]


def _axis(key: tuple[str, str], names: list[str], search_space: Mapping[str, BaseDistribution]) -> Axis:
    numbers = [(name, d) for name in names if isinstance(d := search_space[name], FloatDistribution | IntDistribution)]
    bounds = tuple((name, float(d.low), float(d.high)) for name, d in numbers)
    return Axis(*key, bounds, is_whole=all(isinstance(d, IntDistribution) for _, d in numbers))
