"""A Gaussian process that learns from values and gradients alike, in many dimensions.

The kernel is k(x, x') = exp(-|x - x'|² / 2h²), whose derivatives with respect to |x - x'|² are k' = -k / 2h² and
k'' = k / 4h⁴. Between a value and a gradient stands -2k'(x - x'), between two gradients -2k' I - 4k''(x - x')(x - x')ᵀ.
Of that, all but the first term lives in the span of the differences between the points: N points in n dimensions span
at most N - 1. Outside of the span every coordinate is correlated by -2k' alone, so that one small factor serves all of
them, and the exact process costs (N + M(N - 1))³ for M gradients, whatever n is (after de Roos, Gessner and Hennig
2021, High-dimensional Gaussian process inference with derivatives, arXiv:2102.07542).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Of the kernel's diagonal: rounding of scores computed in float32, and what keeps factors positive.
VALUE_NOISE = 1e-6
# Directions shorter than this share of the longest are rounding.
_RANK = 1e-9
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Observations:
    """Where something is known.

    Args:
        points: `n_points x n_dims`.
        graded: `n_graded`, indices of the points with gradients.
        moves: `n_dims` of bool: along which coordinates gradients are known; along the others they count as 0.
        gradient_noise: share of a gradient's variance; that of `VALUE_NOISE` where gradients are of the whole set.
    """

    points: Array
    graded: NDArray[np.intp]
    moves: NDArray[np.bool_]
    gradient_noise: float = VALUE_NOISE


class Correlations:
    """The correlations of all that is observed at one length scale, factorised; shared by all objectives.

    Args:
        observations: where something is known.
        length: h.

    Raises:
        numpy.linalg.LinAlgError: the points lie too close together for this length.
    """

    def __init__(self, observations: Observations, length: float) -> None:
        self.observations = observations
        self.squared_length = length**2
        self.centre = observations.points.mean(axis=0)
        self.span = _span((observations.points - self.centre) * observations.moves)
        self.projected = (observations.points - self.centre) @ self.span
        between = _squared_distances(observations.points, observations.points)
        kernel, graded = self.kernel(between), observations.graded
        differences = self.projected[:, None] - self.projected[None, graded]  # N x M x rank
        self.inside = _factor(_joint(kernel, differences, graded, self._noises))
        self.outside = _factor(-2 * kernel[1][np.ix_(graded, graded)] + self._noises[1] * np.eye(len(graded)))

    def kernel(self, squared: Array) -> tuple[Array, Array, Array]:
        """k, k' and k'' of squared distances."""
        k = np.exp(-squared / (2 * self.squared_length))
        return k, -k / (2 * self.squared_length), k / (4 * self.squared_length**2)

    @property
    def _noises(self) -> tuple[float, float]:
        """On the diagonal of values and of gradients, whose own variance is 1 / h²."""
        return VALUE_NOISE, self.observations.gradient_noise / self.squared_length

    @cached_property
    def n_outside(self) -> int:
        """Coordinates with gradients outside the span."""
        return int(np.count_nonzero(self.observations.moves)) - int(self.span.shape[1])

    @cached_property
    def log_determinant(self) -> float:
        """Of all correlations."""
        inside, outside = (2 * float(np.log(np.diag(factor)).sum()) for factor in (self.inside, self.outside))
        return inside + self.n_outside * outside


class GradientProcess:
    """One objective's process: constant mean and variance are those of greatest likelihood.

    Args:
        correlations: of the observations.
        values: `n_points`.
        gradients: `n_graded x n_dims`.
    """

    def __init__(self, correlations: Correlations, values: Array, gradients: Array) -> None:
        known, moves = correlations.observations, correlations.observations.moves
        self._correlations = correlations
        slopes = np.where(moves, gradients, 0.0)
        inner = slopes @ correlations.span
        ones = _solve(correlations.inside, np.concatenate([np.ones(len(values)), np.zeros(inner.size)]))
        told = _solve(correlations.inside, np.concatenate([values, inner.ravel()]))
        self._mean = float(ones @ told / (ones @ ones))
        told -= self._mean * ones
        outer = _solve(correlations.outside, slopes - inner @ correlations.span.T)
        n_told = len(told) + len(known.graded) * correlations.n_outside
        self._variance = float((told @ told + (outer**2).sum()) / n_told) or _LEAST_VARIANCE
        self.log_likelihood = -0.5 * (n_told * np.log(self._variance) + correlations.log_determinant)
        weights = _solve_transposed(correlations.inside, told)
        self._of_values, of_slopes = weights[: len(values)], weights[len(values) :].reshape(inner.shape)
        self._of_gradients = of_slopes @ correlations.span.T + _solve_transposed(correlations.outside, outer)
        self._offsets = (self._of_gradients * known.points[known.graded]).sum(axis=1)

    def mean(self, at: Array) -> tuple[Array, Array]:
        """What to expect.

        Args:
            at: `n x n_dims`.

        Returns:
            Values, `n`, and their gradients, `n x n_dims`.
        """
        known = self._correlations.observations
        k, k1, k2 = self._correlations.kernel(_squared_distances(at, known.points))
        along = at @ self._of_gradients.T - self._offsets  # n x M: gradient weights times (x - xᵢ)
        values = self._mean + k @ self._of_values - 2 * (k1[:, known.graded] * along).sum(axis=1)
        pulls = 2 * k1 * self._of_values
        pulls[:, known.graded] -= 4 * k2[:, known.graded] * along
        gradients = pulls.sum(axis=1)[:, None] * at - pulls @ known.points
        return values, gradients - 2 * k1[:, known.graded] @ self._of_gradients

    def deviation(self, at: Array) -> Array:
        """The standard deviation of what to expect: `n`, for `at` of `n x n_dims`."""
        shared, known = self._correlations, self._correlations.observations
        shifted = at - shared.centre
        k, k1, _ = shared.kernel(_squared_distances(at, known.points))
        k1 = k1[:, known.graded]
        differences = (shifted @ shared.span)[:, None] - shared.projected[None, known.graded]
        cross = np.concatenate([k, (-2 * k1[:, :, None] * differences).reshape(len(at), differences[0].size)], axis=1)
        explained = (_solve(shared.inside, cross.T) ** 2).sum(axis=0)
        moved = shifted * known.moves
        beyond = np.maximum((moved**2).sum(axis=1) - ((moved @ shared.span) ** 2).sum(axis=1), 0.0)
        explained += beyond * (_solve(shared.outside, -2 * k1.T) ** 2).sum(axis=0)
        deviation: Array = np.sqrt(self._variance * np.maximum(1.0 - explained, _LEAST_VARIANCE))
        return deviation


def _joint(
    kernel: tuple[Array, Array, Array], differences: Array, graded: NDArray[np.intp], noises: tuple[float, float]
) -> Array:
    """Correlations of values and of gradients inside the span, `N + M rank` each way."""
    k, k1, k2 = kernel
    n, m, rank = differences.shape
    joint = np.empty((n + m * rank,) * 2)
    joint[:n, :n] = k + noises[0] * np.eye(n)
    joint[:n, n:] = (-2 * k1[:, graded, None] * differences).reshape(n, m * rank)
    joint[n:, :n] = joint[:n, n:].T
    joint[n:, n:] = _between_gradients(k1[np.ix_(graded, graded)], k2[np.ix_(graded, graded)], differences[graded])
    joint[n:, n:] += noises[1] * np.eye(m * rank)
    return joint


def _between_gradients(k1: Array, k2: Array, differences: Array) -> Array:
    """-2k' I - 4k'' (x - x')(x - x')ᵀ, `M rank` each way."""
    m, _, rank = differences.shape
    between = -4 * k2[:, :, None, None] * differences[:, :, :, None] * differences[:, :, None, :]
    diagonal = np.arange(rank)
    between[:, :, diagonal, diagonal] -= 2 * k1[:, :, None]
    return between.transpose(0, 2, 1, 3).reshape(m * rank, m * rank)


def _span(differences: Array) -> Array:
    """An orthonormal basis of the rows, `n_dims x rank`."""
    _, lengths, directions = np.linalg.svd(differences, full_matrices=False)
    basis: Array = directions[lengths > _RANK * max(lengths.max(initial=0.0), _RANK)].T
    return basis


def _squared_distances(a: Array, b: Array) -> Array:
    squares: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0.0)


def _factor(matrix: Array) -> Array:
    return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)


def _solve(factor: Array, right: Array) -> Array:
    from scipy.linalg import solve_triangular  # a third of a second that other commands need not wait

    found: Array = solve_triangular(factor, right, lower=True, check_finite=False) if len(factor) else right
    return found


def _solve_transposed(factor: Array, right: Array) -> Array:
    from scipy.linalg import solve_triangular

    found: Array = solve_triangular(factor, right, lower=True, trans="T", check_finite=False) if len(factor) else right
    return found
