"""Two merges on the same examples: is the difference larger than chance, and where does it come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import SelectionError

# Sign flips: exact up to 13 examples, sampled beyond.
_N_RESAMPLES = 9_999


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The first merge less the second, by one measure.

    Args:
        difference: mean over the examples.
        standard_error: of that mean; None for a single example.
        p_value: of the hypothesis that the two differ by chance only.
        largest: indices of the examples that differ most, the largest difference first.
        differences: each example's.
    """

    difference: float
    standard_error: float | None
    p_value: float
    largest: tuple[int, ...]
    differences: tuple[float, ...]


def compare_paired(first: Sequence[float], second: Sequence[float], n_largest: int = 5) -> PairedComparison:
    """Compare two merges' scores of the same examples, in the same order.

    The test flips the signs of the differences at random (Fisher 1935), which assumes nothing of their
    distribution: scores may be 0 and 1. Its random numbers are fixed.

    Raises:
        SelectionError: the two were not scored on the same number of examples.
    """
    from scipy.stats import permutation_test

    if len(first) != len(second) or not len(first):
        raise SelectionError(
            f"Two merges are compared on the same examples, but they were scored on {len(first)} and {len(second)}."
        )
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    n = len(differences)
    p_value = 1.0
    if n > 1 and differences.any():
        tested = permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=_N_RESAMPLES,
            rng=np.random.default_rng(0),
        )
        p_value = float(tested.pvalue)
    order = np.argsort(-np.abs(differences), kind="stable")[:n_largest]
    return PairedComparison(
        difference=float(differences.mean()),
        standard_error=float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        p_value=p_value,
        largest=tuple(int(i) for i in order if differences[i]),
        differences=tuple(map(float, differences)),
    )
