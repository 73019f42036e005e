"""Fronts on held-out examples: the hypervolume of each, and whether two samplers differ by more than chance.

`service.search.paired_comparison` flips the signs of examples' differences, which are there for two merges but not for
two fronts: a hypervolume is no mean over examples. So examples are drawn anew (Efron 1979), the same ones for both
fronts, and seeds with them, the same ones for both samplers.

Each front's best points are chosen on the examples that judge them, which flatters it, and the longer front more. The
interval is therefore the basic one (Davison & Hinkley 1997, eq. 5.6): draws overrate a front once more by about as
much, so that what they lie beyond the estimate is taken off it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.pareto import hypervolume

Floats = NDArray[np.float64]
# Sampler → seed → its front.
SamplerFronts = Mapping[str, Mapping[int, "JudgedFront"]]

_N_DRAWS = 9_999
_LEVEL = 0.95
# The order of a sum's terms changes its last digits.
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class JudgedFront:
    """Points and how they did on held-out examples.

    Args:
        scores: one matrix for each of two measures, `n_points x n_examples`, from 0 to 1.
    """

    scores: tuple[Floats, Floats]

    def __post_init__(self) -> None:
        shapes = [matrix.shape for matrix in self.scores]
        if any(len(shape) != 2 or 0 in shape for shape in shapes) or shapes[0][0] != shapes[1][0]:
            raise ValueError(
                f"A front must have scores of the same points by both measures, `n_points x n_examples`, but got "
                f"{shapes[0]} and {shapes[1]}. Judge its points again."
            )

    @property
    def n_points(self) -> int:
        """How many were judged."""
        return len(self.scores[0])

    @property
    def n_examples(self) -> tuple[int, int]:
        """Of each measure."""
        return self.scores[0].shape[1], self.scores[1].shape[1]

    @property
    def volume(self) -> float:
        """Above (0, 0), of which nothing can be worse; at best 1."""
        return hypervolume(np.column_stack([matrix.mean(axis=1) for matrix in self.scores]), (0.0, 0.0))

    def drawn_volumes(self, draws: Draws) -> Floats:
        """`n_draws`: with the examples that each draw has."""
        x, y = (shares @ matrix.T for shares, matrix in zip(draws.examples, self.scores, strict=True))
        return _areas(x, y)


@dataclass(frozen=True, slots=True)
class Draws:
    """Examples and seeds, drawn with replacement.

    Args:
        examples: of each measure, `n_draws x n_examples`: the share that an example has in a draw.
        seeds: `n_draws x n_seeds`, likewise.
    """

    examples: tuple[Floats, Floats]
    seeds: Floats

    @classmethod
    def of(cls, n_examples: tuple[int, int], n_seeds: int, seed: int = 0) -> Draws:
        """The same ones for the same seed."""
        rng = np.random.default_rng(seed)
        first, second, seeds = (rng.multinomial(n, [1 / n] * n, size=_N_DRAWS) / n for n in (*n_examples, n_seeds))
        return cls((first, second), seeds)


@dataclass(frozen=True, slots=True)
class FrontComparison:
    """The first sampler's mean hypervolume less the second's.

    Args:
        difference: over the seeds that both have.
        low: where the 95 % interval of the difference begins.
        high: where it ends.
        p_value: two-sided, of the hypothesis that the samplers differ by chance only.
    """

    difference: float
    low: float
    high: float
    p_value: float


def compare_fronts(first: Mapping[int, JudgedFront], second: Mapping[int, JudgedFront]) -> FrontComparison:
    """Compare two samplers, seed by seed and example by example.

    Raises:
        ValueError: they have no seed in common, or were judged on other examples.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError(f"Samplers are compared on the same seeds, but got {sorted(first)} and {sorted(second)}.")
    pairs = [(first[seed], second[seed]) for seed in seeds]
    sizes = {front.n_examples for pair in pairs for front in pair}
    if len(sizes) > 1:
        raise ValueError(f"Fronts are compared on the same examples, but were judged on {sorted(sizes)} of them.")
    draws = Draws.of(sizes.pop(), len(seeds))
    drawn = np.column_stack([ours.drawn_volumes(draws) - theirs.drawn_volumes(draws) for ours, theirs in pairs])
    difference = float(np.mean([ours.volume - theirs.volume for ours, theirs in pairs]))
    return _basic(round(difference, _DIGITS), np.round((drawn * draws.seeds).sum(axis=1), _DIGITS))


def mean_volume(fronts: Mapping[int, JudgedFront]) -> float:
    """Over the seeds."""
    return float(np.mean([front.volume for front in fronts.values()]))


def _basic(estimate: float, drawn: Floats) -> FrontComparison:
    """The basic interval, and the p-value of the level at which it would just hold 0."""
    tail = (1 - _LEVEL) / 2
    high, low = 2 * estimate - np.quantile(drawn, [tail, 1 - tail])
    beyond = min(int((drawn >= 2 * estimate).sum()), int((drawn <= 2 * estimate).sum()))
    return FrontComparison(estimate, float(low), float(high), min(1.0, 2 * (beyond + 1) / (len(drawn) + 1)))


def _areas(x: Floats, y: Floats) -> Floats:
    """The hypervolumes of many fronts at once, `n_fronts x n_points`: a staircase each, from the right to the left."""
    order = np.argsort(-x, axis=1)
    x, y = np.take_along_axis(x, order, axis=1), np.take_along_axis(y, order, axis=1)
    steps = x - np.column_stack([x[:, 1:], np.zeros(len(x))])
    return np.asarray((steps * np.maximum.accumulate(y, axis=1)).sum(axis=1))
