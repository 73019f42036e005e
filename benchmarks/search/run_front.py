"""What a run has found: its front, and of a long front so many points that are spread over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.search.trial_records import TrialRecord
from service import pareto
from service.studies.trial_cost import fits

# Most fronts have about so many points. More, of one sampler only, would be more draws from the same lottery: where
# the best of several points is chosen on the examples that judge it, the longer front is judged too well.
MAX_POINTS = 20


def front_of(records: Sequence[TrialRecord], budget: float) -> list[TrialRecord]:
    """The non-dominated trials that the budget has paid, the best in the first objective first; of equals the first."""
    paid = [record for record in records if fits(record.spent, 0.0, budget)]
    first = {record.values: record for record in reversed(paid) if record.values is not None}
    if not first:
        return []
    kept = pareto.non_dominated(np.array(list(first)))
    front = [values for values, keep in zip(first, kept, strict=True) if keep]
    return [first[values] for values in sorted(front, reverse=True)]


def spread(front: Sequence[TrialRecord], n_points: int = MAX_POINTS) -> list[TrialRecord]:
    """So many points, by `pareto.spread`: fewer are the first of more, so that what has been judged stays of use."""
    if len(front) <= n_points:
        return list(front)
    return [front[index] for index in pareto.spread(np.array([record.values for record in front]), n_points)]
