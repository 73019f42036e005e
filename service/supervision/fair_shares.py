"""Who gets how many workers: dominant resource fairness, and which searches may start.

Dominant resource fairness by progressive filling (Ghodsi et al. 2011, "Dominant Resource Fairness: Fair Allocation of
Multiple Resource Types", Algorithm 1): the next worker always goes to whose dominant share, the largest of its shares
of any resource, is smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Fractions of GPUs add up with rounding errors.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Resources:
    """What a node has, or a worker occupies.

    Args:
        cpus: cores.
        gpus: GPUs, or fractions of one.
    """

    cpus: float
    gpus: float = 0.0

    def fit_into(self, room: Resources) -> bool:
        """Whether there is room for them."""
        return self.cpus <= room.cpus + _ROUNDING and self.gpus <= room.gpus + _ROUNDING

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpus + other.cpus, self.gpus + other.gpus)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(self.cpus - other.cpus, self.gpus - other.gpus)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a search or a job wants.

    Args:
        per_worker: what each of its workers occupies, all of it on one node.
        n_wanted: workers, at most.
    """

    per_worker: Resources
    n_wanted: int = 1


@dataclass(frozen=True, slots=True)
class Shares:
    """How many workers each may have, in the order in which they were given."""

    jobs: tuple[int, ...]
    searches: tuple[int, ...]


def deal(nodes: Sequence[Resources], jobs: Sequence[Demand], searches: Sequence[Demand]) -> Shares:
    """Deal what the cluster has.

    Args:
        nodes: of the cluster.
        jobs: exports and completions, the oldest first; each is served before a younger one, and all before searches.
        searches: that run, the oldest first, who wins where shares are equal.
    """
    room = _Room(nodes)
    return Shares(tuple(_serve(room, jobs)), tuple(_fill(room, _total(nodes), searches)))


def _serve(room: _Room, jobs: Sequence[Demand]) -> list[int]:
    counts, overtakes = [], True
    for job in jobs:
        served = overtakes and room.take(job.per_worker)
        # One that only has to wait is not overtaken; one that no node can hold would block the others for ever.
        overtakes = overtakes and (served or not room.could_ever_take(job.per_worker))
        counts.append(int(served))
    return counts


def _fill(room: _Room, total: Resources, searches: Sequence[Demand]) -> list[int]:
    counts = [0] * len(searches)
    unsatisfied = list(range(len(searches)))
    while unsatisfied:
        poorest = min(unsatisfied, key=lambda i: (round(counts[i] * _dominant_share(searches[i], total), 9), i))
        if counts[poorest] < searches[poorest].n_wanted and room.take(searches[poorest].per_worker):
            counts[poorest] += 1
        else:
            unsatisfied.remove(poorest)
    return counts


def _dominant_share(demand: Demand, total: Resources) -> float:
    """Of one worker."""
    pairs = ((demand.per_worker.cpus, total.cpus), (demand.per_worker.gpus, total.gpus))
    return max(needed / there if there else 0.0 for needed, there in pairs)


def admit(
    nodes: Sequence[Resources], running: Sequence[Resources], queued: Sequence[Resources], n_slots: int
) -> list[str]:
    """Which searches of the queue may start: as many as there are slots, and a worker for each that runs.

    Args:
        nodes: of the cluster.
        running: what a worker of each running search occupies.
        queued: the same of those that wait, the oldest first.
        n_slots: searches that may run at once.

    Returns:
        What each of the queue waits for, for a person; "" where it may start.
    """
    room, n_taken, blocked = _Room(nodes), len(running), False
    for needed in running:
        room.take(needed)
    found = []
    for needed in queued:
        reason = _lacks(nodes, needed)
        if not reason and n_taken >= n_slots:
            reason = f"waits for a slot: {n_taken} of {n_slots} are taken"
        elif not reason and (blocked or not room.take(needed)):
            blocked = True
            reason = "waits for resources: there is one worker for each search that came before, and none left"
        n_taken += not reason
        found.append(reason)
    return found


def _lacks(nodes: Sequence[Resources], needed: Resources) -> str:
    """What a cluster would need for such a worker; "" when a node can hold one."""
    if any(needed.fit_into(node) for node in nodes):
        return ""
    limit = "the cluster has" if len(nodes) <= 1 else "no node has more than"
    for unit, wanted, there in (
        ("CPU", needed.cpus, max((node.cpus for node in nodes), default=0)),
        ("GPU", needed.gpus, max((node.gpus for node in nodes), default=0)),
    ):
        if wanted > there + _ROUNDING:
            return f"waits for resources: a worker needs {_counted(wanted, unit)}, {limit} {there:g}"
    both = f"{_counted(needed.cpus, 'CPU')} and {_counted(needed.gpus, 'GPU')}"
    return f"waits for resources: a worker needs {both} on one node, no node has both"


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _total(nodes: Sequence[Resources]) -> Resources:
    return sum(nodes, Resources(0.0, 0.0))


class _Room:
    """What is left on each node."""

    def __init__(self, nodes: Sequence[Resources]) -> None:
        self._nodes = tuple(nodes)
        self._left = list(nodes)

    def take(self, needed: Resources) -> bool:
        """Take the tightest place, so that large workers find one as well; False when there is none."""
        places = [i for i, left in enumerate(self._left) if needed.fit_into(left)]
        if not places:
            return False
        tightest = min(places, key=lambda i: (self._left[i].gpus, self._left[i].cpus))
        self._left[tightest] -= needed
        return True

    def could_ever_take(self, needed: Resources) -> bool:
        """Whether an empty node has room."""
        return any(needed.fit_into(node) for node in self._nodes)
