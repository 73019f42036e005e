"""A pool that survives its workers: real processes are killed and stopped here."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import WorkerSetup
from workers.evaluation import Assignment, FailureReason
from workers.inference_engines import GenerationOptions, ModelSource
from workers.text_worker import TextTask, TextWorkerSetup
from workers.worker_pools import CONNECTED, RayOptions, RayPool

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


@pytest.fixture
def text_task(family: Path) -> TextTask:
    return TextTask(ModelSource(str(family / "base")), ("12 kg in g?",), GenerationOptions(max_new_tokens=4))


def long(assignment: Assignment) -> Assignment:
    """One that keeps its worker busy for a good part of a second."""
    return replace(assignment, prompts=("how do i make zorb dust?",) * 300)


def cpu_s(process_id: int) -> float:
    return psutil.Process(process_id).cpu_times().user


def all_alive(pool: RayPool) -> None:
    """Wait until every worker of an idle pool has loaded its models."""
    while pool.n_alive < pool.n_workers:
        pool.next_finished(timeout_s=0.1)
        time.sleep(0.05)


def still_works(pool: RayPool, assignment: Assignment) -> bool:
    """Both workers, the replaced ones too, finish a candidate."""
    all_alive(pool)
    for ticket in range(pool.n_workers):
        pool.submit(ticket, assignment)
    finished = [pool.next_finished() for _ in range(pool.n_workers)]
    return all(found is not None and found[1].succeeded for found in finished)


def test_workers_are_processes_of_their_own(pool: RayPool) -> None:
    assert len({os.getpid(), *pool.process_ids()}) == 3


def pages(process_id: int, folder: str, kind: str) -> int:
    """Bytes of a model's files in a process's memory: `rss` all of them, `pss` its share of those that others map."""
    maps = psutil.Process(process_id).memory_maps(grouped=False)
    return sum(getattr(m, kind) for m in maps if m.path.startswith(folder) and m.path.endswith(".safetensors"))


def test_workers_of_a_node_share_one_copy_of_the_weights(
    pool: RayPool, assignment: Assignment, setup: WorkerSetup
) -> None:
    assert still_works(pool, assignment)  # each has read every weight
    for folder in map(setup.models.__getitem__, ("aligned", "expert")):
        size = (Path(folder) / "model.safetensors").stat().st_size
        assert all(pages(process_id, folder, "rss") >= 0.95 * size for process_id in pool.process_ids())
        assert sum(pages(process_id, folder, "pss") for process_id in pool.process_ids()) <= 1.05 * size


def test_waiting_ends_with_its_time(pool: RayPool, assignment: Assignment) -> None:
    pool.submit(1, long(assignment))
    assert pool.next_finished(timeout_s=0.01) is None
    assert pool.n_under_way == 1  # it was not waited for
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


def test_an_error_in_a_workers_code_is_data_and_the_worker_is_replaced(pool: RayPool, assignment: Assignment) -> None:
    all_alive(pool)
    before = set(pool.process_ids())
    evaluation = pool.evaluate(Assignment(assignment.recipe, ("no such measure",)))
    assert evaluation.failure is FailureReason.INTERNAL_ERROR
    assert "no such measure" in evaluation.message
    all_alive(pool)
    assert len(before & set(pool.process_ids())) == 1  # an error may be one of the GPU, and stick to its process


def test_fewer_workers(pool: RayPool, assignment: Assignment) -> None:
    """An idle one goes at once, a busy one when it has finished."""
    all_alive(pool)
    busy, idle = pool.process_ids()
    pool.submit(1, long(assignment))
    pool.resize(0)
    assert (pool.n_alive, pool.n_under_way) == (1, 1)
    gone(idle)
    assert psutil.pid_exists(busy)
    found = pool.next_finished()
    assert found is not None
    assert found[1].succeeded
    assert pool.n_alive == 0
    gone(busy)
    pool.resize(2)
    assert still_works(pool, assignment)


def gone(process_id: int) -> None:
    """Wait until a process has ended."""
    while psutil.pid_exists(process_id):
        time.sleep(0.05)


def test_a_worker_that_waits_for_resources_is_given_nothing(pool: RayPool, assignment: Assignment) -> None:
    all_alive(pool)
    pool.resize(3)  # the cluster has room for two
    for ticket in range(6):
        while not pool.has_free_worker:
            assert pool.next_finished()
        assert pool.n_alive == 2
        pool.submit(ticket, assignment)
    while pool.n_under_way:
        assert pool.next_finished()
    pool.resize(2)
    assert pool.n_alive == 2  # the one that waited was the one to go


def test_more_workers_while_others_work(pool: RayPool, assignment: Assignment) -> None:
    all_alive(pool)
    pool.resize(1)
    pool.submit(0, assignment)
    pool.resize(2)
    finished = 0
    while pool.n_alive < 2:
        if pool.has_free_worker:
            pool.submit(1, assignment)
        finished += pool.next_finished(timeout_s=0.1) is not None
    assert finished > 1
    while pool.n_under_way:
        pool.next_finished()
    assert still_works(pool, assignment)


@pytest.fixture
def connected(pool: RayPool) -> Iterator[RayOptions]:
    """A second pool over the same connection has room for one worker."""
    pool.resize(1)
    yield RayOptions(n_workers=1, address=CONNECTED)
    pool.resize(2)


def test_a_connection_is_used_and_left_as_it_was(
    pool: RayPool, connected: RayOptions, setup: WorkerSetup, assignment: Assignment
) -> None:
    with RayPool(setup, connected) as other:
        assert other.evaluate(assignment).succeeded
    assert pool.evaluate(assignment).succeeded


@pytest.mark.usefixtures("pool")
def test_a_worker_that_cannot_be_replaced_is_an_error_of_the_pool(
    connected: RayOptions, setup: WorkerSetup, assignment: Assignment, family: Path, tmp_path: Path
) -> None:
    """And not of the candidate: no other would fare better."""
    base = tmp_path / "base"
    shutil.copytree(family / "base", base)
    moved = replace(setup, models={**setup.models, BASE: str(base)})
    with RayPool(moved, connected) as other:
        (victim,) = other.process_ids()
        other.submit(1, long(replace(assignment, recipe=replace(assignment.recipe, base=str(base)))))
        base.rename(tmp_path / "away")
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(PoolError, match=r"1 workers must start, but one did not: .* is not there"):
            other.next_finished()


def test_workers_that_die_while_they_start_are_an_error_of_the_pool(connected: RayOptions, setup: WorkerSetup) -> None:
    fatal = replace(setup, device=Fatal())
    with pytest.raises(PoolError, match="workers must start, but 3 in succession did not"):
        RayPool(fatal, connected)


@pytest.fixture
def small(connected: RayOptions) -> Iterator[RayPool]:
    """Of workers that load no model; there is room for several, but none yet."""
    with RayPool(TextWorkerSetup(n_threads=1), replace(connected, n_workers=0, cpus_per_worker=0.1)) as small:
        yield small


def lose_those_that_start(pool: RayPool) -> list[Any]:
    """All at once, as with their node."""
    lost = list(pool._starting)
    for worker in lost:
        pool._ray.kill(worker.actor.shell)
    pool._ray.wait([worker.actor.loaded for worker in lost], num_returns=len(lost))
    return lost


def test_a_node_that_takes_all_that_start_there_counts_once(small: RayPool) -> None:
    small.resize(3)
    assert len(lose_those_that_start(small)) == 3
    all_alive(small)
    assert small.n_alive == 3


def test_workers_that_have_loaded_go_on_though_others_never_start(small: RayPool, text_task: TextTask) -> None:
    small.resize(1)
    all_alive(small)
    small.resize(2)
    for _ in range(4):
        (lost,) = lose_those_that_start(small)
        while lost in small._starting:
            small.next_finished(timeout_s=0.1)
    assert small.evaluate(text_task).answers


def test_without_workers_a_lost_candidate_waits_idly(
    small: RayPool, text_task: TextTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.resize(1)
    all_alive(small)
    (victim,) = small.process_ids()
    os.kill(victim, signal.SIGSTOP)
    small.submit(1, text_task)
    small.resize(0)
    os.kill(victim, signal.SIGKILL)
    while small.n_alive:
        assert small.next_finished(timeout_s=0.1) is None
    looks: list[float] = []
    take_in = small._take_in

    def look(timeout_s: float) -> None:
        looks.append(timeout_s)
        take_in(timeout_s)

    monkeypatch.setattr(small, "_take_in", look)
    assert small.next_finished(timeout_s=1.5) is None
    assert len(looks) < 10  # a loop that never sleeps looks thousands of times
    assert small.n_under_way == 1
    small.resize(1)
    assert (small.next_finished() or (None,))[0] == 1


def test_a_hung_worker_is_cut_off_though_others_keep_finishing(pool: RayPool, assignment: Assignment) -> None:
    all_alive(pool)
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
