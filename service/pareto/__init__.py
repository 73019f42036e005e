"""The arithmetic of Pareto fronts: dominance, hypervolume, and the choice of one point; all is maximised."""

from __future__ import annotations

from service.pareto.dominance import RunningDominance, certainly_dominated, non_dominated
from service.pareto.hypervolume import RunningHypervolume, hypervolume
from service.pareto.selection import Constraint, knee, parse_constraint, select_by_constraint
from service.pareto.spread import spread

__all__ = [
    "Constraint",
    "RunningDominance",
    "RunningHypervolume",
    "certainly_dominated",
    "hypervolume",
    "knee",
    "non_dominated",
    "parse_constraint",
    "select_by_constraint",
    "spread",
]
