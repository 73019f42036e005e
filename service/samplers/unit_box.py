"""The search space scaled to the unit cube; whole numbers are rounded on the way back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution


class UnitBox:
    """Trial parameters on one side, points of the unit cube on the other.

    Args:
        search_space: name → distribution, numbers only.
    """

    def __init__(self, search_space: Mapping[str, BaseDistribution]) -> None:
        self._names = list(search_space)
        numbers = [d for d in search_space.values() if isinstance(d, FloatDistribution | IntDistribution)]
        self._is_whole = [isinstance(d, IntDistribution) for d in numbers]
        self._low = np.array([d.low for d in numbers], dtype=np.float64)
        self._width = np.array([d.high for d in numbers]) - self._low

    @property
    def n_dims(self) -> int:
        """Of the cube."""
        return len(self._names)

    @property
    def width(self) -> NDArray[np.float64]:
        """Of each parameter's bounds."""
        return self._width

    def point(self, params: Mapping[str, float]) -> NDArray[np.float64]:
        """`n_dims` numbers in [0, 1]."""
        values = np.array([params[name] for name in self._names])
        scaled: NDArray[np.float64] = np.clip((values - self._low) / self._width, 0.0, 1.0)
        return scaled

    def params(self, point: NDArray[np.float64]) -> dict[str, float]:
        """The parameters of a point, inside their bounds."""
        values = np.clip(self._low + point * self._width, self._low, self._low + self._width)
        whole = zip(self._names, map(float, values), self._is_whole, strict=True)
        return {name: round(value) if is_whole else value for name, value, is_whole in whole}
