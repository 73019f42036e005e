"""Workers as Ray actors: one live candidate each, replaced when they are lost."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe
from search_spaces.errors import GenerationError, ParetomergeError, PoolError, RecipeError, UserError
from workers.evaluation import Evaluation, FailureReason, Score
from workers.worker_pools._base import Setup, Task, WorkerPool

# A candidate that takes three workers with it is the cause, not the victim.
MAX_ATTEMPTS = 3
# The longest wait between two looks at time limits.
_POLL_S = 1.0
# Only recipes and scores travel through it.
_OBJECT_STORE_BYTES = 100 << 20


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where workers run.

    Args:
        n_workers: how many.
        address: of a running cluster, or `local` for one of our own in this machine.
        cpus_per_worker: cores that each one occupies.
        gpus_per_worker: GPUs, or fractions of one.
        timeout_s: a candidate that takes longer has failed; None waits for ever. The time in which a
            replaced worker loads its models is not counted.
    """

    n_workers: int = 1
    address: str = "local"
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Worker:
    """An actor, and a reference to its process id that is ready once it has loaded its models."""

    actor: Any
    process_id: Any


@dataclass(slots=True)
class _Run:
    """One attempt at a task; `started` when its worker was first seen to be loaded."""

    ticket: int
    task: Task
    worker: _Worker
    attempt: int
    started: float | None = None


class RayPool(WorkerPool):
    """Survives its workers: a lost one is replaced and its candidate given to another, at most 3 times.

    Args:
        setup: of every worker.
        options: how many, and where.

    Raises:
        PoolError: Ray or the workers cannot be started.
    """

    def __init__(self, setup: Setup, options: RayOptions) -> None:
        self._ray = _connect(options)
        _check_gpus(self._ray, options)
        self._options = options
        self._setup = self._ray.put(setup)
        self._actor_class = self._ray.remote(setup.worker_class).options(
            num_cpus=options.cpus_per_worker, num_gpus=options.gpus_per_worker, max_restarts=0
        )
        self._under_way: dict[Any, _Run] = {}
        self._idle = [self._start_worker() for _ in range(options.n_workers)]
        try:
            self.process_ids()
        except self._ray.exceptions.RayError as error:
            self.close()
            raise PoolError(f"{options.n_workers} workers must start, but one did not: {_last_line(error)}") from error
        except KeyboardInterrupt:
            self.close()
            raise

    @property
    def n_workers(self) -> int:
        """See `WorkerPool.n_workers`."""
        return self._options.n_workers

    @property
    def n_under_way(self) -> int:
        """See `WorkerPool.n_under_way`."""
        return len(self._under_way)

    def process_ids(self) -> list[int]:
        """The process of each idle worker, once it has loaded its models."""
        found: list[int] = self._ray.get([worker.process_id for worker in self._idle])
        return found

    def submit(self, ticket: int, task: Task) -> None:
        """See `WorkerPool.submit`."""
        if not self._idle:
            raise PoolError(f"A candidate is submitted to a free worker only, but all {self.n_workers} are busy.")
        self._run(ticket, task, attempt=1)

    def _run(self, ticket: int, task: Task, attempt: int) -> None:
        worker = self._idle.pop(0)
        reference = worker.actor.evaluate.remote(task)
        self._under_way[reference] = _Run(ticket, task, worker, attempt)

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        """See `WorkerPool.next_finished`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._under_way:
            # First: while others keep finishing, a late one would never be seen.
            found = self._cut_off_late() or self._collect_next(deadline)
            if found is not None:
                return found
            if deadline is not None and time.monotonic() >= deadline:
                return None
        return None

    def _collect_next(self, deadline: float | None) -> tuple[int, Evaluation] | None:
        left = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
        finished, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=max(0.0, left))
        return self._collect(finished[0]) if finished else None

    def _collect(self, reference: Any) -> tuple[int, Evaluation] | None:
        """The evaluation; or None when the worker was lost and the candidate went to another."""
        run = self._under_way.pop(reference)
        try:
            evaluation: Evaluation = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(run.worker)
            if _concerns_all(error.cause):
                raise error.cause from None
            return run.ticket, Evaluation(failure=FailureReason.INTERNAL_ERROR, message=str(error))
        except self._ray.exceptions.RayError as error:  # its process, its node, or the way to them
            return self._replace(run, error)
        self._idle.append(run.worker)
        return run.ticket, evaluation

    def _replace(self, run: _Run, error: Exception) -> tuple[int, Evaluation] | None:
        self._ray.kill(run.worker.actor)  # it may only be out of reach, and would keep its cores
        self._idle.append(self._start_worker())
        if run.attempt == MAX_ATTEMPTS:
            message = f"The candidate took {MAX_ATTEMPTS} workers with it: {_last_line(error)}"
            return run.ticket, Evaluation(failure=FailureReason.WORKER_LOST, message=message)
        self._run(run.ticket, run.task, run.attempt + 1)
        return None

    def _cut_off_late(self) -> tuple[int, Evaluation] | None:
        limit = self._options.timeout_s
        if limit is None:
            return None
        _, unfinished = self._ray.wait(list(self._under_way), num_returns=self.n_under_way, timeout=0)
        for reference in unfinished:
            run = self._under_way[reference]
            if run.started is None and self._ray.wait([run.worker.process_id], timeout=0)[0]:
                run.started = time.monotonic()
            if run.started is not None and time.monotonic() - run.started > limit:
                del self._under_way[reference]
                self._ray.kill(run.worker.actor)
                self._idle.append(self._start_worker())
                message = (
                    f"A candidate must be finished within {limit:g} s (`workers.timeout_s`), but this one was not."
                )
                return run.ticket, Evaluation(failure=FailureReason.TIMEOUT, message=message)
        return None

    def _start_worker(self) -> _Worker:
        actor = self._actor_class.remote(self._setup)
        return _Worker(actor, actor.process_id.remote())

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """See `WorkerPool.save`."""
        self._ask_idle("save", recipe, folder, max_shard_size)

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """See `WorkerPool.score_saved`."""
        scores: dict[str, Score] = self._ask_idle("score_saved", folder, measures)
        return scores

    def _ask_idle(self, method: str, *arguments: Any) -> Any:
        """Call an idle worker; its own errors come back as they were raised there."""
        if not self._idle:
            raise PoolError(f"A merge is saved by an idle worker, but all {self.n_workers} are busy.")
        try:
            return self._ray.get(getattr(self._idle[0].actor, method).remote(*arguments))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ParetomergeError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            self._idle[0] = self._start_worker()
            raise PoolError(f"A worker was lost while it was to `{method}`: {_last_line(error)}") from error

    def close(self) -> None:
        """See `WorkerPool.close`."""
        with _interrupts_held_back():  # who presses Ctrl-C twice shall leave no process behind
            for worker in [*self._idle, *(run.worker for run in self._under_way.values())]:
                self._ray.kill(worker.actor)
            self._idle.clear()
            self._under_way.clear()
            self._ray.shutdown()


def _connect(options: RayOptions) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns that it will stop hiding GPUs from workers that ask for none; ours never look for one then.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray tells of a lost worker on stdout, among a command's JSON; the pool makes good for it.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed")
    import ray
    import ray.exceptions

    local = {
        "num_cpus": max(1, math.ceil(options.n_workers * options.cpus_per_worker)),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    if ray.is_initialized():
        raise PoolError("A process has one connection to Ray, but another pool holds it. Close that one first.")
    if options.address != "local":
        _check_reachable(options.address)
    # Under load the first start of a cluster of our own can pass Ray's limit of 30 s.
    attempts = 2 if options.address == "local" else 1
    for attempt in range(attempts):
        try:
            with _interrupts_held_back():
                ray.init(
                    address=options.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    **(local if options.address == "local" else {}),
                )
            break
        except Exception as error:  # a process edge: Ray raises bare Exception here
            ray.shutdown()
            if attempt == attempts - 1:
                raise PoolError(f"Ray must start at '{options.address}', but did not: {_last_line(error)}") from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes to reach a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto` and other words of Ray's
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PoolError(
            f"A Ray cluster must answer at '{address}' (`workers.address`), but none does: {error}. "
            "Start it, correct the address, or leave it out for one on this machine."
        ) from error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C takes effect at the end: a start or stop of Ray that is cut short leaves processes behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if received:
            raise KeyboardInterrupt


def _check_gpus(ray: Any, options: RayOptions) -> None:
    """A cluster of our own never gets more of them: its workers would wait for ever."""
    needed, found = options.n_workers * options.gpus_per_worker, ray.cluster_resources().get("GPU", 0)
    if options.address == "local" and needed > found:
        ray.shutdown()
        raise PoolError(
            f"The workers need {needed:g} GPUs (`workers.gpus_per_worker`), but Ray finds {found:g} in this machine. "
            "Lower that, or name a cluster as `workers.address`."
        )


def _concerns_all(cause: Exception | None) -> bool:
    """Whether the next task would fare no better: a model, a set or an endpoint cannot be used."""
    return isinstance(cause, GenerationError | UserError) and not isinstance(cause, RecipeError)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[-1]
