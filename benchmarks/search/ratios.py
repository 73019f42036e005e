"""The benchmark's last line: what a gradient is worth, against the best of evolution and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.search.regret import Comparison

SUBJECT, PEERS = "gradient", ("nsga2", "tpe", "cmaes_sweep")
# Of the budget, how much the subject has spent where it is compared with peers that have spent all of it. By the
# number of dimensions: the more there are, the more a gradient should save.
_SHARES = (1 / 4, 1)
# Of the peers' regret.
_ROUNDING = 1e-6
_SHARES_OF = {("hard", "tensor"): (1 / 8, 1)}


def ratio_line(comparisons: Mapping[tuple[str, str], Comparison]) -> str:
    """All families and granularities that the subject and a peer have searched; "" without any."""
    found = [ratio for key, comparison in comparisons.items() for ratio in ratios(key, comparison)]
    if not found:
        return ""
    return f"Ratio of the regret of the best of {', '.join(PEERS)} to that of `{SUBJECT}`: {'; '.join(found)}."


def ratios(key: tuple[str, str], comparison: Comparison) -> Iterator[str]:
    """How many times the subject's regret the best peer's is, which has spent the whole budget."""
    peers = [name for name in PEERS if name in comparison.runs]
    if SUBJECT not in comparison.runs or not peers:
        return
    budget = comparison.budget
    best = min(peers, key=lambda name: comparison.median_regret(name, budget))
    theirs = comparison.median_regret(best, budget)
    costs = [share * budget for share in _SHARES_OF.get(key, _SHARES)]
    found = [f"{_ratio(theirs, comparison.median_regret(SUBJECT, cost))} at {cost:g}" for cost in costs]
    yield f"{' per '.join(key)} {', '.join(found)} against `{best}` at {budget:g}"


def _ratio(theirs: float, ours: float) -> str:
    """Where the subject alone made the best front known, its regret is 0, or what rounding leaves of it."""
    return f"{theirs / ours:.2f}" if ours > _ROUNDING * theirs else "infinite"
