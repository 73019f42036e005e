"""The benchmark's table, and its last line: what a gradient is worth against the best of evolution and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from statistics import median

import numpy as np

from benchmarks.search.regret import Comparison, Run

# (family, granularity) → its runs.
Comparisons = Mapping[tuple[str, str], Comparison]

SHOWN_COSTS = (25, 50, 100, 200)
SUBJECT, PEERS = "gradient", ("nsga2", "tpe", "cmaes_sweep")


def told(comparisons: Comparisons, budget: float) -> Iterator[str]:
    """A table per family and granularity, then the ratios."""
    costs = [cost for cost in SHOWN_COSTS if cost < budget] + [budget]
    for (family, granularity), comparison in comparisons.items():
        yield f"## The {family} family, per {granularity}\n"
        yield from table(comparison, costs)
        yield ""
    yield from chain.from_iterable(ratios(key, comparison, budget) for key, comparison in comparisons.items())


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


def ratios(key: tuple[str, str], comparison: Comparison, budget: float) -> Iterator[str]:
    """How many times the best peer's regret at the full budget is the subject's, at a quarter and at the same."""
    peers = [name for name in PEERS if name in comparison.runs]
    if SUBJECT not in comparison.runs or not peers:
        return
    best = min(peers, key=lambda name: comparison.median_regret(name, budget))
    theirs = comparison.median_regret(best, budget)
    found = [f"{_times(theirs, comparison.median_regret(SUBJECT, cost))} at {cost:g}" for cost in (budget / 4, budget)]
    yield (
        f"Ratio, {' per '.join(key)}: the regret of `{best}`, the best of {', '.join(peers)} at {budget:g}, "
        f"is {' and '.join(found)} that of `{SUBJECT}`."
    )


def _times(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.2f} times" if ours > 0 else "endlessly many times"


def _median_ms(runs: Sequence[Run], field: str) -> str:
    return f"{1000 * median(getattr(record, field) for run in runs for record in run):.0f}"
