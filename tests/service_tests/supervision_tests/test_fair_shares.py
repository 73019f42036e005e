"""Fair shares: properties that hold for any cluster and any demands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.supervision.fair_shares import Demand, Resources, Shares, admit, deal

quarters = st.integers(0, 32).map(lambda n: n / 4)
nodes = st.lists(st.builds(Resources, quarters, st.integers(0, 8).map(float)), max_size=3)
workers = st.builds(Resources, st.integers(1, 16).map(lambda n: n / 4), st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0, 2.0]))
demands = st.lists(st.builds(Demand, workers, st.integers(0, 6)), max_size=5)
jobs = st.lists(st.builds(Demand, workers), max_size=3)

ONE_CPU = Resources(1)


def taken(wanted: list[Demand], counts: tuple[int, ...]) -> Resources:
    needed = [demand.per_worker for demand, n in zip(wanted, counts, strict=True) for _ in range(n)]
    return sum(needed, Resources(0))


@given(nodes, jobs, demands)
def test_never_over_capacity_nor_beyond_what_is_wanted(
    nodes: list[Resources], jobs: list[Demand], demands: list[Demand]
) -> None:
    shares = deal(nodes, jobs, demands)
    used, there = taken(jobs, shares.jobs) + taken(demands, shares.searches), sum(nodes, Resources(0))
    assert used.fit_into(there)
    assert all(n <= demand.n_wanted for n, demand in zip(shares.searches, demands, strict=True))


@given(nodes, jobs, demands)
def test_nothing_that_fits_is_left_over(nodes: list[Resources], jobs: list[Demand], demands: list[Demand]) -> None:
    """Work-conserving: on a single node, what is left fits nobody who wants more."""
    shares = deal(nodes[:1], jobs, demands)
    left = sum(nodes[:1], Resources(0)) - taken(jobs, shares.jobs) - taken(demands, shares.searches)
    for n, demand in zip(shares.searches, demands, strict=True):
        assert n == demand.n_wanted or not demand.per_worker.fit_into(left)


@given(st.integers(0, 20), st.lists(st.integers(0, 6), max_size=6))
def test_equal_workers_are_dealt_max_min_and_ties_go_to_the_oldest(n_cpus: int, wanted: list[int]) -> None:
    counts = deal([Resources(n_cpus)], [], [Demand(ONE_CPU, n) for n in wanted]).searches
    assert sum(counts) == min(n_cpus, sum(wanted))
    for i, n in enumerate(counts):
        for j, other in enumerate(counts):
            if n < wanted[i]:
                # Nobody else has more than one worker more, and a younger one has none more.
                assert other <= n + (j < i)


@given(nodes, demands, jobs)
def test_jobs_come_first(nodes: list[Resources], demands: list[Demand], jobs: list[Demand]) -> None:
    """What searches want changes nothing for jobs, and an older job nothing for a younger one's disadvantage."""
    assert deal(nodes, jobs, demands).jobs == deal(nodes, jobs, []).jobs
    served = deal(nodes, jobs, demands).jobs
    assert served[: len(jobs) - 1] == deal(nodes, jobs[:-1], demands).jobs


@given(nodes, jobs, demands)
def test_the_same_again(nodes: list[Resources], jobs: list[Demand], demands: list[Demand]) -> None:
    assert deal(nodes, jobs, demands) == deal(nodes, jobs, demands)


def test_the_example_of_the_paper() -> None:
    """Section 4.1 of the paper: 9 CPUs and 18 GB, tasks of <1, 4> and <3, 1>: three and two of them."""
    shares = deal([Resources(9, 18)], [], [Demand(Resources(1, 4), 99), Demand(Resources(3, 1), 99)])
    assert shares == Shares((), (3, 2))


def test_a_job_that_waits_is_not_overtaken_but_one_that_cannot_be_blocks_nobody() -> None:
    large, small, impossible = Demand(Resources(3)), Demand(Resources(1)), Demand(Resources(9))
    assert deal([Resources(4)], [small, small, large, small], []).jobs == (1, 1, 0, 0)
    assert deal([Resources(4)], [impossible, small, small], []).jobs == (0, 1, 1)


def test_a_worker_lies_on_one_node() -> None:
    two = [Resources(3), Resources(3)]
    assert deal(two, [Demand(Resources(2))], [Demand(Resources(2), 9)]) == Shares((1,), (1,))
    assert deal(two, [], [Demand(Resources(1), 2), Demand(Resources(3), 1)]).searches == (2, 1)


def test_a_job_leaves_a_search_without_workers() -> None:
    assert deal([Resources(1)], [Demand(ONE_CPU)], [Demand(ONE_CPU, 4)]) == Shares((1,), (0,))


@given(st.lists(workers, max_size=3), st.lists(workers, max_size=5), st.integers(0, 4), nodes)
def test_the_queue_is_in_order(
    running: list[Resources], queued: list[Resources], n_slots: int, nodes: list[Resources]
) -> None:
    reasons = admit(nodes, running, queued, n_slots)
    started = [needed for needed, reason in zip(queued, reasons, strict=True) if not reason]
    assert len(started) <= max(0, n_slots - len(running))
    if started and taken_alone(nodes, running):
        everyone = [Demand(needed) for needed in (*running, *started)]
        assert all(deal(nodes, everyone, []).jobs)  # each has its worker
    # What comes later changes nothing for those before.
    assert admit(nodes, running, queued[:-1], n_slots) == reasons[:-1] if queued else True


def taken_alone(nodes: list[Resources], running: list[Resources]) -> bool:
    return all(deal(nodes, [Demand(needed) for needed in running], []).jobs)


@pytest.mark.parametrize(
    ("nodes", "needed", "reason"),
    [
        ([Resources(2)], Resources(8), "waits for resources: a worker needs 8 CPUs, the cluster has 2"),
        ([Resources(2)], Resources(1, 1), "waits for resources: a worker needs 1 GPU, the cluster has 0"),
        ([], Resources(1), "waits for resources: a worker needs 1 CPU, the cluster has 0"),
        ([Resources(4)] * 2, Resources(8), "waits for resources: a worker needs 8 CPUs, no node has more than 4"),
        (
            [Resources(8), Resources(1, 1)],
            Resources(4, 1),
            "waits for resources: a worker needs 4 CPUs and 1 GPU on one node, no node has both",
        ),
    ],
)
def test_what_no_node_can_hold_waits_and_blocks_nobody(nodes: list[Resources], needed: Resources, reason: str) -> None:
    small = Resources(0.25)
    assert admit(nodes, [], [needed, small], 4) == [reason, "" if nodes else admit(nodes, [], [small], 4)[0]]


def test_what_a_search_waits_for() -> None:
    full = "waits for a slot: 4 of 4 are taken"
    assert admit([Resources(9)], [ONE_CPU] * 3, [ONE_CPU] * 3, 4) == ["", full, full]
    beside = "waits for resources: there is one worker for each search that came before, and none left"
    assert admit([Resources(2)], [ONE_CPU], [ONE_CPU, ONE_CPU, ONE_CPU], 4) == ["", beside, beside]
    # One that fits the cluster is not overtaken.
    assert admit([Resources(2)], [ONE_CPU], [Resources(2), ONE_CPU], 4) == [beside, beside]
