"""What trials cost, in evaluation-equivalents: one forward pass over the search sets is 1, a backward pass 2 more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workers.evaluation import GradientRequest

# Of a trial: what it costs, and what it asks its worker for beside scores.
COST = "paretomerge:cost"
REQUEST = "paretomerge:gradient"
# Costs may be fractions, whose sums are rounded.
_ROUNDING = 1e-6


def gradient_cost(share: float) -> float:
    """What a trial costs that asks for gradients over so much of each set."""
    return GradientRequest((), share).cost


def cost_of(system_attributes: Mapping[str, Any]) -> float:
    """What a trial costs; 1 unless it is marked with another number."""
    return float(system_attributes.get(COST, 1.0))


def limit_of(budget: float | None) -> float:
    """What trials may cost together, with what their sum may be rounded up by; None is a budget without end."""
    return math.inf if budget is None else budget + _ROUNDING


def fits(spent: float, cost: float, budget: float | None) -> bool:
    """Whether a trial of that cost may still start."""
    return spent + cost <= limit_of(budget)


def is_spent(spent: float, budget: float) -> bool:
    """Whether no further trial fits, not even a plain one."""
    return not fits(spent, 1.0, budget)
