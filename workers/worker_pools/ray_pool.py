"""Workers as Ray actors: one live candidate each, replaced when they are lost."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe
from search_spaces.errors import (
    GenerationError,
    MisplacedModelError,
    ParetomergeError,
    PoolError,
    RecipeError,
    UserError,
)
from workers.evaluation import Evaluation, FailureReason, Score
from workers.interrupts import interrupts_held_back
from workers.worker_pools._base import Setup, Task, WorkerPool
from workers.worker_pools.cluster_nodes import ClusterNodes
from workers.worker_pools.ray_connection import (
    LOCAL,
    connect_to_ray,
    disconnect_from_ray,
    last_line,
)
from workers.worker_pools.ray_options import RayOptions
from workers.worker_pools.roll_call import Roll, RollCall
from workers.worker_pools.worker_actors import WorkerActor, WorkerActors
from workers.worker_pools.worker_shell import WorkerPlace

_log = logging.getLogger(__name__)

# A candidate that takes three workers with it, whose nodes live on, is the cause, not the victim.
MAX_ATTEMPTS = 3
# Nodes are lost for reasons of their own; but not so many under one candidate.
MAX_LOST_NODES = 10
# As many workers that die before they are loaded, each in place of the one before, tell that no more will be.
MAX_STARTS = 3
# The longest wait between two looks at time limits, and at how many workers there are.
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Worker:
    """A worker, how many were lost before it, and the nodes that were dead when it was started."""

    actor: WorkerActor
    n_lost_before: int
    dead_nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A task that waits for a loaded worker, and the nodes of those that were lost under it."""

    ticket: int
    task: Task
    lost_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """An attempt on a loaded worker, since `started`."""

    attempt: _Attempt
    worker: _Worker
    started: float


class RayPool(WorkerPool):
    """Survives its workers: a lost one is replaced and its candidate given to another, at most 3 times.

    A worker is starting (it waits for resources, or loads), idle, or busy; only idle ones are given tasks. Workers that
    are lost with their node are nobody's fault: their candidates and starts do not count. A node where a worker cannot
    be loaded is left out, and the others go on.

    Args:
        setup: of every worker.
        options: how many, and where; `n_at_start` of them have loaded their models when the pool is made.

    Raises:
        PoolError: Ray or the workers cannot be started.
    """

    def __init__(self, setup: Setup, options: RayOptions) -> None:
        self._ray = connect_to_ray(options.address, _n_cpus(options))
        _check_gpus(self._ray, options)
        self._options = options
        self._actors = WorkerActors(self._ray, self._ray.put(setup), options)
        self._nodes = ClusterNodes(self._ray, options)
        self._roll_call = RollCall()
        self._n_workers = options.n_workers
        self._is_made = False
        self._starting: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._under_way: dict[Any, _Run] = {}
        self._retries: deque[_Attempt] = deque()
        self._n_lost_starts = 0
        try:
            self._start_missing()
            while self.n_alive < options.n_at_start:
                self._take_in(_POLL_S)
            self._is_made = True
        except (PoolError, KeyboardInterrupt):
            self.close()
            raise

    # ---- how many ----

    @property
    def n_workers(self) -> int:
        """See `WorkerPool.n_workers`."""
        return self._n_workers

    @property
    def n_alive(self) -> int:
        """See `WorkerPool.n_alive`."""
        return len(self._idle) + len(self._under_way)

    @property
    def n_under_way(self) -> int:
        """See `WorkerPool.n_under_way`."""
        return len(self._under_way) + len(self._retries)

    @property
    def has_free_worker(self) -> bool:
        """See `WorkerPool.has_free_worker`."""
        return len(self._idle) > len(self._retries)

    def places(self) -> list[WorkerPlace]:
        """Where each idle worker is."""
        found: list[WorkerPlace] = self._ray.get([worker.actor.place for worker in self._idle])
        return found

    def process_ids(self) -> list[int]:
        """The process of each idle worker."""
        return [place.process_id for place in self.places()]

    def resize(self, n_workers: int) -> None:
        """See `WorkerPool.resize`."""
        self._n_workers = n_workers
        self._start_missing()
        while self._n_held > n_workers and (released := self._starting or self._idle):
            self._actors.end(released.pop().actor)

    @property
    def _n_held(self) -> int:
        return len(self._starting) + self.n_alive

    @property
    def _n_needed(self) -> int:
        return 1 if self._is_made else self._options.n_at_start

    def _start_missing(self) -> None:
        while self._n_held < self._n_workers:
            actor = self._actors.start(self._nodes.left_out)
            self._starting.append(_Worker(actor, self._n_lost_starts, self._nodes.dead()))

    def _take_in(self, timeout_s: float) -> None:
        """Let workers that have loaded their models work; waits for the first of them.

        Raises:
            PoolError: one cannot be started, whatever is tried.
        """
        waiting = {worker.actor.loaded: worker for worker in self._starting}
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout_s) if waiting else ((), ())
        for loaded in ready:
            self._take_in_one(waiting[loaded])
        self._retry()
        # In a cluster of our own there is room for all, and while they load nothing is to be said.
        may_lack_room = self._is_made or self._options.address != LOCAL
        if may_lack_room and self._roll_call.is_news(self.n_alive, self._n_workers):
            self._roll_call.say(self._roll())

    def _take_in_one(self, worker: _Worker) -> None:
        self._starting.remove(worker)
        try:
            self._ray.get(worker.actor.loaded)
        except self._ray.exceptions.RayError as error:
            self._actors.end(worker.actor)
            if isinstance(error, self._ray.exceptions.RayTaskError):
                self._refuse(worker, error)
            else:
                self._count_lost_start(worker, error)
            self._start_missing()
        else:
            self._n_lost_starts = 0
            self._nodes.prove(self._node_of(worker))
            self._idle.append(worker)

    def _refuse(self, worker: _Worker, error: Any) -> None:
        """A worker lives, but could not be loaded: nowhere, or not on its node."""
        node = self._node_of(worker)
        self._nodes.leave_out(node)
        if _concerns_all(error.cause) or (self.n_alive < self._n_needed and self._nodes.lacks_all):
            raise self._cannot_start("one did not", error)
        _log.warning("No worker is put on the node %s: %s", self._nodes.name(node), _reason(error))

    def _count_lost_start(self, worker: _Worker, error: Exception) -> None:
        if self._is_lost_with_node(worker, error):
            return
        # Those that started side by side count as one: what killed them may have been under all of them.
        self._n_lost_starts += worker.n_lost_before == self._n_lost_starts
        # Once enough have loaded, those go on, whatever becomes of the others.
        if self._n_lost_starts >= MAX_STARTS and self.n_alive < self._n_needed:
            raise self._cannot_start(f"{self._n_lost_starts} in succession did not", error)

    def _cannot_start(self, how: str, error: Exception) -> PoolError:
        found = PoolError(f"{self._n_workers} workers must start, but {how}: {_reason(error)}")
        found.__cause__ = error
        return found

    def _is_lost_with_node(self, worker: _Worker, error: Exception) -> bool:
        if getattr(error, "preempted", False):
            return True
        node = self._node_of(worker)
        # One that never had a place may have died with any node that has.
        return not self._nodes.lives(node) if node else self._nodes.dead() > worker.dead_nodes

    def _node_of(self, worker: _Worker) -> str:
        """The id of its node; "" for one that had no place yet."""
        ready, _ = self._ray.wait([worker.actor.place], timeout=0)
        try:
            place: WorkerPlace | None = self._ray.get(ready[0]) if ready else None
        except self._ray.exceptions.RayError:
            place = None
        return place.node if place else ""

    def _roll(self) -> Roll:
        n_loading = sum(bool(self._node_of(worker)) for worker in self._starting)
        return Roll(self._n_workers, self.n_alive, n_loading, self._options.needs_of_a_worker)

    # ---- tasks ----

    def submit(self, ticket: int, task: Task) -> None:
        """See `WorkerPool.submit`."""
        if not self.has_free_worker:
            raise PoolError(f"A candidate is submitted to a free worker only, but none of {self.n_workers} is free.")
        self._run(_Attempt(ticket, task))

    def _run(self, attempt: _Attempt) -> None:
        worker = self._idle.pop(0)
        reference = worker.actor.shell.evaluate.remote(attempt.task)
        self._under_way[reference] = _Run(attempt, worker, time.monotonic())

    def _retry(self) -> None:
        while self._retries and self._idle:
            self._run(self._retries.popleft())

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        """See `WorkerPool.next_finished`."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._take_in(timeout_s=0)
            # First: while others keep finishing, a late one would never be seen.
            found = self._cut_off_late() or self._collect_next(deadline)
            if found is not None:
                return found
            nothing_to_wait_for = not self.n_under_way and (self._idle or not self._starting)
            if nothing_to_wait_for or time.monotonic() >= deadline:
                return None

    def _collect_next(self, deadline: float) -> tuple[int, Evaluation] | None:
        """The next evaluation; None as well when a worker has come or gone."""
        awaited = [*self._under_way, *(worker.actor.loaded for worker in self._starting)]
        left_s = max(0.0, min(_POLL_S, deadline - time.monotonic()))
        if not awaited:
            if self._retries:  # they wait for workers that nobody grants now
                time.sleep(left_s)
            return None
        ready, _ = self._ray.wait(awaited, num_returns=1, timeout=left_s)
        return self._collect(ready[0]) if ready and ready[0] in self._under_way else None

    def _collect(self, reference: Any) -> tuple[int, Evaluation] | None:
        """The evaluation; or None when the worker was lost and the candidate waits for another."""
        run = self._under_way.pop(reference)
        ticket = run.attempt.ticket
        try:
            evaluation: Evaluation = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if _concerns_all(error.cause):
                self._give_back(run.worker)
                raise error.cause from None
            # A GPU that failed once may fail for ever in this process.
            self._replace(run.worker)
            return ticket, Evaluation(failure=FailureReason.INTERNAL_ERROR, message=str(error))
        except self._ray.exceptions.RayError as error:  # its process, its node, or the way to them
            return self._lose(run, error)
        self._give_back(run.worker)
        return ticket, evaluation

    def _give_back(self, worker: _Worker) -> None:
        """A worker has finished: it goes on, unless there are too many of them."""
        if self._n_held < self._n_workers:
            self._idle.append(worker)
            self._retry()
        else:
            self._actors.end(worker.actor)

    def _replace(self, worker: _Worker) -> None:
        self._actors.end(worker.actor)
        self._start_missing()

    def _lose(self, run: _Run, error: Exception) -> tuple[int, Evaluation] | None:
        """The candidate waits for another worker; unless it is what they die of."""
        is_nodes_fault = self._is_lost_with_node(run.worker, error)
        lost_on = (*run.attempt.lost_on, "" if is_nodes_fault else self._node_of(run.worker))
        self._replace(run.worker)
        # Nodes that have died since may have taken their workers first.
        n_faults = sum(self._nodes.lives(node) for node in lost_on)
        if n_faults == MAX_ATTEMPTS or len(lost_on) - n_faults == MAX_LOST_NODES:
            taken = f"{n_faults} workers" if n_faults == MAX_ATTEMPTS else f"{MAX_LOST_NODES} nodes"
            message = f"The candidate took {taken} with it: {last_line(error)}"
            return run.attempt.ticket, Evaluation(failure=FailureReason.WORKER_LOST, message=message)
        self._retries.append(replace(run.attempt, lost_on=lost_on))
        self._retry()
        return None

    def _cut_off_late(self) -> tuple[int, Evaluation] | None:
        limit = self._options.timeout_s
        if limit is None or not self._under_way:
            return None
        _, unfinished = self._ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        for reference in unfinished:
            run = self._under_way[reference]
            if time.monotonic() - run.started > limit:
                del self._under_way[reference]
                return self._cut_off(run, limit)
        return None

    def _cut_off(self, run: _Run, limit: float) -> tuple[int, Evaluation] | None:
        message = f"A candidate must be finished within {limit:g} s (`workers.timeout_s`), but this one was not."
        if not self._nodes.lives(self._node_of(run.worker)):
            return self._lose(run, PoolError(message))
        self._replace(run.worker)
        return run.attempt.ticket, Evaluation(failure=FailureReason.TIMEOUT, message=message)

    # ---- saving ----

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """See `WorkerPool.save`."""
        self._ask_idle("save", recipe, folder, max_shard_size)

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """See `WorkerPool.score_saved`."""
        scores: dict[str, Score] = self._ask_idle("score_saved", folder, measures)
        return scores

    def _ask_idle(self, method: str, *arguments: Any) -> Any:
        """Call an idle worker; its own errors come back as they were raised there."""
        while self._starting and not (self._idle or self._under_way):
            self._take_in(_POLL_S)
        if not self._idle:
            raise PoolError(f"A merge is saved by an idle worker, but none of {self.n_workers} is idle.")
        worker = self._idle[0]
        try:
            return self._ray.get(getattr(worker.actor.shell, method).remote(*arguments))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ParetomergeError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            self._idle.remove(worker)
            self._replace(worker)
            raise PoolError(f"A worker was lost while it was to `{method}`: {last_line(error)}") from error

    def close(self) -> None:
        """See `WorkerPool.close`."""
        with interrupts_held_back():  # who presses Ctrl-C twice shall leave no process behind
            for worker in [*self._starting, *self._idle, *(run.worker for run in self._under_way.values())]:
                self._actors.end(worker.actor)
            self._starting.clear()
            self._idle.clear()
            self._under_way.clear()
            self._retries.clear()
            disconnect_from_ray(self._options.address)


def _n_cpus(options: RayOptions) -> int:
    """Of a cluster of our own."""
    return max(1, math.ceil(options.n_workers * options.cpus_per_worker))


def _check_gpus(ray: Any, options: RayOptions) -> None:
    """A cluster of our own never gets more of them: its workers would wait for ever."""
    if options.address != LOCAL:
        return
    needed, found = options.n_workers * options.gpus_per_worker, ray.cluster_resources().get("GPU", 0)
    if needed > found:
        ray.shutdown()
        raise PoolError(
            f"The workers need {needed:g} GPUs (`workers.gpus_per_worker`), but Ray finds {found:g} in this machine. "
            "Lower that, or name a cluster as `workers.address`."
        )


def _reason(error: Exception) -> str:
    """Of why a worker is not there: in words of ours where it has them."""
    cause = getattr(error, "cause", None)
    return str(cause) if isinstance(cause, ParetomergeError) else last_line(error)


def _concerns_all(cause: Exception | None) -> bool:
    """Whether the next task, or another node, would fare no better: a model, a set or an endpoint cannot be used."""
    is_of_one = isinstance(cause, RecipeError | MisplacedModelError)
    return isinstance(cause, GenerationError | UserError) and not is_of_one
