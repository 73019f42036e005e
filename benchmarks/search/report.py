"""The benchmark's tables: regret at parts of the budget, and the verdict on held-out examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import numpy as np

from benchmarks.search.front_comparison import SamplerFronts, compare_fronts, mean_volume
from benchmarks.search.ratios import SUBJECT, ratio_line
from benchmarks.search.regret import Comparison, Run

# (family, granularity) → its runs.
Comparisons = Mapping[tuple[str, str], Comparison]
# (family, granularity) → its judged fronts; where none were judged, without it.
Verdicts = Mapping[tuple[str, str], SamplerFronts]

# Of the budget.
SHOWN_SHARES = (1 / 8, 1 / 4, 1 / 2, 1)


def told(comparisons: Comparisons, verdicts: Verdicts) -> Iterator[str]:
    """Two tables per family and granularity, then the ratios."""
    for key, comparison in comparisons.items():
        yield f"## The {key[0]} family, per {key[1]}\n"
        yield from table(comparison, [share * comparison.budget for share in SHOWN_SHARES])
        yield ""
        if key in verdicts:
            yield from held_out(verdicts[key])
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


def held_out(fronts: SamplerFronts) -> Iterator[str]:
    """The hypervolume of each sampler's fronts on held-out examples, and by how much the subject's is larger."""
    n_refusal, n_accuracy = next(iter(next(iter(fronts.values())).values())).n_examples
    yield "### On held-out examples\n"
    yield (
        f"Hypervolume of refusals on {n_refusal} requests and exact answers to {n_accuracy} questions that no search "
        "saw, mean over seeds.\n"
    )
    yield f"| sampler | points | hypervolume | `{SUBJECT}` has more | 95 % interval | p |"
    yield "| --- " * 6 + "|"
    for sampler, by_seed in fronts.items():
        n_points = median(front.n_points for front in by_seed.values())
        cells = [f"`{sampler}`", f"{n_points:g}", f"{mean_volume(by_seed):.3f}", *_against(fronts, sampler)]
        yield f"| {' | '.join(cells)} |"


def _against(fronts: SamplerFronts, sampler: str) -> tuple[str, str, str]:
    """Difference, interval and p-value; empty for the subject, and where no seed of both was judged."""
    if sampler == SUBJECT or not fronts.get(SUBJECT, {}).keys() & fronts[sampler].keys():
        return "", "", ""
    found = compare_fronts(fronts[SUBJECT], fronts[sampler])
    return f"{found.difference:+.3f}", f"{found.low:+.3f} to {found.high:+.3f}", f"{found.p_value:.4f}"


def _median_ms(runs: Sequence[Run], field: str) -> str:
    return f"{1000 * median(getattr(record, field) for run in runs for record in run):.0f}"
