"""How many workers there are, said when it is news."""

from __future__ import annotations

import pytest

from workers.worker_pools import RayOptions
from workers.worker_pools.roll_call import Roll, RollCall


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((2, 2, 0), "All 2 workers are there."),
        ((3, 1, 2), "1 of 3 workers are there, loading: 2."),
        ((3, 0, 1), "0 of 3 workers are there, loading: 1, waiting for a node that has 2 CPUs and 1 GPU free: 2."),
    ],
)
def test_what_is_said(counts: tuple[int, int, int], said: str) -> None:
    needs = RayOptions(cpus_per_worker=2, gpus_per_worker=1).needs_of_a_worker
    assert str(Roll(*counts, needs)) == said


def test_a_pool_that_is_whole_says_nothing() -> None:
    times = iter((0.0, 1.0, 100.0))
    call = RollCall(lambda: next(times))
    assert not call.is_news(2, 2)
    assert not call.is_news(2, 2)


def test_changes_are_said_now_and_then_and_the_loss_of_all_at_once() -> None:
    now = [0.0]
    call = RollCall(lambda: now[0])
    assert not call.is_news(0, 3)  # they have only been started
    now[0] = 11.0
    assert call.is_news(0, 3)
    call.say(Roll(3, 0, 3, ""))
    now[0] = 12.0
    assert not call.is_news(2, 3)
    now[0] = 22.0
    assert call.is_news(2, 3)
    call.say(Roll(3, 2, 0, ""))
    assert not call.is_news(1, 3)
    assert call.is_news(0, 3)


@pytest.mark.parametrize(
    ("address", "min_workers", "expected"),
    [("local", None, 4), ("connected", None, 4), ("10.0.0.1:6379", None, 1), ("local", 2, 2), ("10.0.0.1:6379", 9, 4)],
)
def test_how_many_a_pool_waits_for(address: str, min_workers: int | None, expected: int) -> None:
    assert RayOptions(4, address, min_workers=min_workers).n_at_start == expected
