"""What a stored specification asks of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.supervision.fair_shares import Demand, Resources


def demand_of(workers: Mapping[str, Any], n_wanted: int | None = None) -> Demand:
    """The demand of a specification's section `workers`.

    Args:
        workers: with all its keys, as it is stored.
        n_wanted: another number of them.
    """
    per_worker = Resources(workers["cpus_per_worker"], workers["gpus_per_worker"])
    return Demand(per_worker, workers["count"] if n_wanted is None else n_wanted)
