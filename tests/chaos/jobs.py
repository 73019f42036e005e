"""Jobs that carry out schedules side by side, each in a process and on a bench of its own."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue

from tests.chaos.conduct import Conduct
from tests.chaos.outcome import Outcome, Watch
from tests.chaos.schedule import Schedule
from tests.chaos.workbench import Workbench


def outcomes_of(schedules: Sequence[Schedule], n_jobs: int) -> Iterator[Outcome]:
    """As they become known; fewer than there are schedules if a job fails itself."""
    context = multiprocessing.get_context("spawn")
    waiting: Queue[Schedule | None] = context.Queue()
    done: Queue[Outcome] = context.Queue()
    for schedule in (*schedules, *[None] * n_jobs):
        waiting.put(schedule)
    jobs = [context.Process(target=_work, args=(waiting, done)) for _ in range(n_jobs)]
    for job in jobs:
        job.start()
    try:
        yield from _until_all_end(jobs, done)
    finally:
        for job in jobs:
            job.terminate()


def _until_all_end(jobs: Sequence[BaseProcess], done: Queue[Outcome]) -> Iterator[Outcome]:
    while True:
        is_last_look = not any(job.is_alive() for job in jobs)
        try:
            while True:
                yield done.get(timeout=1)
        except queue.Empty:
            if is_last_look:
                return


def end_when_terminated() -> None:
    """Leave nothing behind at SIGTERM either."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _work(waiting: Queue[Schedule | None], done: Queue[Outcome]) -> None:
    """One job: until no schedule waits."""
    end_when_terminated()
    watches: list[Watch] = []
    try:
        with Workbench() as bench:
            while (schedule := waiting.get()) is not None:
                watches.append(_carried_out(schedule, bench))
                watches = [watch for watch in watches if not _is_over(watch, done)]
            while watches:
                time.sleep(0.5)
                watches = [watch for watch in watches if not _is_over(watch, done)]
    except Exception:  # a process edge: the harness itself has failed
        traceback.print_exc()


def _carried_out(schedule: Schedule, bench: Workbench) -> Watch:
    try:
        return Conduct(schedule, bench).carry_out()
    except Exception:  # a process edge: the schedules after this one are carried out all the same
        failed = f"the harness carries out its schedule:\n{traceback.format_exc()}"
        return Watch(Outcome(schedule, violations=[failed]), [], [])


def _is_over(watch: Watch, done: Queue[Outcome]) -> bool:
    is_over = watch.is_over()
    if is_over:
        done.put(watch.outcome)
    return is_over
