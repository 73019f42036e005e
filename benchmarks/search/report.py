"""The benchmark's tables: regret at parts of the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import numpy as np

from benchmarks.search.ratios import ratio_line
from benchmarks.search.regret import Comparison, Run

# (family, granularity) → its runs.
Comparisons = Mapping[tuple[str, str], Comparison]

# Of the budget.
SHOWN_SHARES = (1 / 8, 1 / 4, 1 / 2, 1)


def told(comparisons: Comparisons) -> Iterator[str]:
    """A table per family and granularity, then the ratios."""
    for key, comparison in comparisons.items():
        yield f"## The {key[0]} family, per {key[1]}\n"
        yield from table(comparison, [share * comparison.budget for share in SHOWN_SHARES])
        yield ""
    if line := ratio_line(comparisons):
        yield line


def table(comparison: Comparison, costs: Sequence[float]) -> Iterator[str]:
    """Median regrets and quartiles, and what a trial takes."""
    n_dims = len(next(iter(comparison.runs.values()))[0][0].params)
    yield f"{n_dims} dimensions; all runs together have a hypervolume of {comparison.union:.4f}.\n"
    heads = [f"regret at {cost:g}" for cost in costs]
    yield f"| sampler | runs | {' | '.join(heads)} | trials | sampler ms | evaluation ms |"
    yield "| --- " * (len(costs) + 5) + "|"
    for sampler, runs in comparison.runs.items():
        quartiles = np.percentile(comparison.regrets(sampler, costs), [50, 25, 75], axis=0).T
        cells = [f"{middle:.4f} ({low:.4f} to {high:.4f})" for middle, low, high in quartiles]
        times = [_median_ms(runs, "sampler_s"), _median_ms(runs, "evaluation_s")]
        yield f"| `{sampler}` | {len(runs)} | {' | '.join([*cells, f'{median(map(len, runs)):g}', *times])} |"


def _median_ms(runs: Sequence[Run], field: str) -> str:
    return f"{1000 * median(getattr(record, field) for run in runs for record in run):.0f}"
