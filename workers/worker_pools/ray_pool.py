"""Workers as Ray actors: one live candidate each, replaced when they are lost."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe
from search_spaces.errors import GenerationError, ParetomergeError, PoolError, RecipeError, UserError
from workers.evaluation import Evaluation, FailureReason, Score
from workers.worker_pools._base import Setup, Task, WorkerPool
from workers.worker_pools.ray_connection import (
    LOCAL,
    connect_to_ray,
    disconnect_from_ray,
    interrupts_held_back,
    last_line,
)

# A candidate that takes three workers with it is the cause, not the victim.
MAX_ATTEMPTS = 3
# As many workers that die before they are loaded, each in place of the one before, tell that no more will be.
MAX_STARTS = 3
# The longest wait between two looks at time limits.
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where workers run.

    Args:
        n_workers: how many; 0 for a pool that is resized later.
        address: of a running cluster, `local` for one of our own in this machine, or `connected` for the
            connection that this process has.
        cpus_per_worker: cores that each one occupies.
        gpus_per_worker: GPUs, or fractions of one.
        timeout_s: a candidate that takes longer has failed; None waits for ever. The time in which a
            replaced worker loads its models is not counted.
    """

    n_workers: int = 1
    address: str = LOCAL
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Worker:
    """An actor, a reference to its process id that is ready once it has loaded, and how many were lost before it."""

    actor: Any
    process_id: Any
    n_lost_before: int


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A task that waits for a loaded worker, after so many that it had."""

    ticket: int
    task: Task
    n_before: int = 0


@dataclass(frozen=True, slots=True)
class _Run:
    """An attempt on a loaded worker, since `started`."""

    attempt: _Attempt
    worker: _Worker
    started: float


class RayPool(WorkerPool):
    """Survives its workers: a lost one is replaced and its candidate given to another, at most 3 times.

    A worker is starting (it waits for resources, or loads), idle, or busy; only idle ones are given tasks.

    Args:
        setup: of every worker.
        options: how many, and where; all of them have loaded their models when the pool is made.

    Raises:
        PoolError: Ray or the workers cannot be started.
    """

    def __init__(self, setup: Setup, options: RayOptions) -> None:
        self._ray = connect_to_ray(options.address, _n_cpus(options))
        _check_gpus(self._ray, options)
        self._options = options
        self._setup = self._ray.put(setup)
        self._actor_class = self._ray.remote(setup.worker_class).options(
            num_cpus=options.cpus_per_worker, num_gpus=options.gpus_per_worker, max_restarts=0
        )
        self._n_workers = options.n_workers
        self._starting: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._under_way: dict[Any, _Run] = {}
        self._retries: deque[_Attempt] = deque()
        self._n_lost_starts = 0
        self._is_made = False
        self._start_missing()
        try:
            while self._starting:
                self._take_in(timeout_s=None)
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

    def process_ids(self) -> list[int]:
        """The process of each idle worker."""
        found: list[int] = self._ray.get([worker.process_id for worker in self._idle])
        return found

    def resize(self, n_workers: int) -> None:
        """See `WorkerPool.resize`."""
        self._n_workers = n_workers
        self._start_missing()
        while self._n_held > n_workers and (released := self._starting or self._idle):
            self._ray.kill(released.pop().actor)

    @property
    def _n_held(self) -> int:
        return len(self._starting) + self.n_alive

    def _start_missing(self) -> None:
        while self._n_held < self._n_workers:
            actor = self._actor_class.remote(self._setup)
            self._starting.append(_Worker(actor, actor.process_id.remote(), self._n_lost_starts))

    def _take_in(self, timeout_s: float | None) -> None:
        """Let workers that have loaded their models work; waits for the first of them.

        Raises:
            PoolError: one cannot be started, whatever is tried.
        """
        waiting = {worker.process_id: worker for worker in self._starting}
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout_s) if waiting else ((), ())
        for process_id in ready:
            worker = waiting[process_id]
            self._starting.remove(worker)
            try:
                self._ray.get(process_id)
            except self._ray.exceptions.RayError as error:
                self._count_lost_start(worker, error)
                self._start_missing()
            else:
                self._n_lost_starts = 0
                self._idle.append(worker)
        self._retry()

    def _count_lost_start(self, worker: _Worker, error: Exception) -> None:
        # Those that started side by side count as one: their node may have died under all of them.
        self._n_lost_starts += worker.n_lost_before == self._n_lost_starts
        failed_by_itself = getattr(error, "actor_init_failed", False)  # it would again
        # Once the pool is made, those that have loaded go on, whatever becomes of the others.
        are_too_many = self._n_lost_starts >= MAX_STARTS and not (self._is_made and self.n_alive)
        if failed_by_itself or are_too_many:
            how = "one did not" if failed_by_itself else f"{self._n_lost_starts} in succession did not"
            raise PoolError(f"{self._n_workers} workers must start, but {how}: {last_line(error)}") from error

    # ---- tasks ----

    def submit(self, ticket: int, task: Task) -> None:
        """See `WorkerPool.submit`."""
        if not self.has_free_worker:
            raise PoolError(f"A candidate is submitted to a free worker only, but none of {self.n_workers} is free.")
        self._run(_Attempt(ticket, task))

    def _run(self, attempt: _Attempt) -> None:
        worker = self._idle.pop(0)
        reference = worker.actor.evaluate.remote(attempt.task)
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
        awaited = [*self._under_way, *(worker.process_id for worker in self._starting)]
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
            self._ray.kill(worker.actor)

    def _replace(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)  # it may only be out of reach, and would keep its cores
        self._start_missing()

    def _lose(self, run: _Run, error: Exception) -> tuple[int, Evaluation] | None:
        self._replace(run.worker)
        n_lost = run.attempt.n_before + 1
        if n_lost == MAX_ATTEMPTS:
            message = f"The candidate took {MAX_ATTEMPTS} workers with it: {last_line(error)}"
            return run.attempt.ticket, Evaluation(failure=FailureReason.WORKER_LOST, message=message)
        self._retries.append(_Attempt(run.attempt.ticket, run.attempt.task, n_lost))
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
                self._replace(run.worker)
                message = (
                    f"A candidate must be finished within {limit:g} s (`workers.timeout_s`), but this one was not."
                )
                return run.attempt.ticket, Evaluation(failure=FailureReason.TIMEOUT, message=message)
        return None

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
            self._take_in(timeout_s=None)
        if not self._idle:
            raise PoolError(f"A merge is saved by an idle worker, but none of {self.n_workers} is idle.")
        worker = self._idle[0]
        try:
            return self._ray.get(getattr(worker.actor, method).remote(*arguments))
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
                self._ray.kill(worker.actor)
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


def _concerns_all(cause: Exception | None) -> bool:
    """Whether the next task would fare no better: a model, a set or an endpoint cannot be used."""
    return isinstance(cause, GenerationError | UserError) and not isinstance(cause, RecipeError)
