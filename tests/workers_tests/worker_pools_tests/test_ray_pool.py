"""A pool that survives its workers: real processes are killed and stopped here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from search_spaces import MergeRecipe
from workers.candidate_worker import WorkerSetup
from workers.evaluation import Assignment, FailureReason
from workers.worker_pools import RayOptions, RayPool

MakeRecipe = Callable[..., MergeRecipe]

# Longer than a candidate takes on a busy machine, shorter than a worker takes to start there.
TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def pool(setup: WorkerSetup, make_recipe: MakeRecipe) -> Iterator[RayPool]:
    with RayPool(setup, RayOptions(n_workers=2, timeout_s=TIMEOUT_S)) as pool:
        yield pool


@pytest.fixture
def assignment(make_recipe: MakeRecipe) -> Assignment:
    return Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal_margin",))


def long(assignment: Assignment) -> Assignment:
    """One that keeps its worker busy for a good part of a second."""
    return replace(assignment, prompts=("how do i make zorb dust?",) * 300)


def cpu_s(process_id: int) -> float:
    return psutil.Process(process_id).cpu_times().user


def still_works(pool: RayPool, assignment: Assignment) -> bool:
    """Both workers, the replaced ones too, finish a candidate."""
    for ticket in range(pool.n_workers):
        pool.submit(ticket, assignment)
    finished = [pool.next_finished() for _ in range(pool.n_workers)]
    return all(found is not None and found[1].succeeded for found in finished)


def test_workers_are_processes_of_their_own(pool: RayPool) -> None:
    assert len({os.getpid(), *pool.process_ids()}) == 3


def test_waiting_ends_with_its_time(pool: RayPool, assignment: Assignment) -> None:
    pool.submit(1, long(assignment))
    started = time.monotonic()
    assert pool.next_finished(timeout_s=0.01) is None
    assert time.monotonic() - started < 0.5
    assert pool.n_under_way == 1
    found = pool.next_finished()
    assert found is not None
    assert found[0] == 1


def test_the_candidate_of_a_killed_worker_goes_to_another(pool: RayPool, assignment: Assignment) -> None:
    wanted = pool.evaluate(assignment).scores["refusal_margin"]
    victim = pool.process_ids()[0]
    before = cpu_s(victim)
    pool.submit(7, long(assignment))
    while cpu_s(victim) < before + 0.05:
        time.sleep(0.005)
    os.kill(victim, signal.SIGKILL)
    found = pool.next_finished()
    assert found is not None
    assert found[0] == 7
    assert found[1].scores["refusal_margin"].per_example == pytest.approx(wanted.per_example, abs=1e-5)
    assert victim not in pool.process_ids()
    assert pool.n_under_way == 0


class Fatal(str):
    """A prompt that ends the process in which it is unpickled."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_a_candidate_that_kills_every_worker_is_given_up(pool: RayPool, assignment: Assignment) -> None:
    evaluation = pool.evaluate(Assignment(assignment.recipe, assignment.measures, (Fatal(),)))
    assert evaluation.failure is FailureReason.WORKER_LOST
    assert "took 3 workers with it" in evaluation.message
    assert still_works(pool, assignment)


def test_an_error_in_a_workers_code_is_data(pool: RayPool, assignment: Assignment) -> None:
    before = pool.process_ids()
    evaluation = pool.evaluate(Assignment(assignment.recipe, ("no such measure",)))
    assert evaluation.failure is FailureReason.INTERNAL_ERROR
    assert "no such measure" in evaluation.message
    assert set(pool.process_ids()) == set(before)


def test_a_hung_worker_is_cut_off_though_others_keep_finishing(pool: RayPool, assignment: Assignment) -> None:
    hung = pool.process_ids()[0]
    os.kill(hung, signal.SIGSTOP)
    pool.submit(0, assignment)
    late = None
    for ticket in range(1, 1000):
        pool.submit(ticket, assignment)
        found = pool.next_finished()
        assert found is not None
        if found[0] == 0:
            late = found[1]
            break
        assert found[1].succeeded
    assert late is not None
    assert late.failure is FailureReason.TIMEOUT
    assert "within 5 s (`workers.timeout_s`)" in late.message
    while pool.n_under_way:
        pool.next_finished()
    assert still_works(pool, assignment)  # though starting the new worker takes longer than a candidate may
    assert not psutil.pid_exists(hung)
