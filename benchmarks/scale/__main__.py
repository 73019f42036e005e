"""How busy a driver keeps many workers over many trials, what each trial costs it, and where the ceiling is.

The pool is simulated: an evaluation sleeps as long as is drawn for it, and scores the coefficients by a formula. All
else is a search as it runs: loop, sampler, study in Postgres, per-layer coefficients of a family with 32 layers.
"""

from __future__ import annotations

import argparse
import tempfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.scale.deep_family import write_deep_family
from benchmarks.scale.driver_run import DriverRun, Scale, reopening_s, run_driver
from benchmarks.scale.durations import FORMS
from benchmarks.scale.postgres_cost import server_cost
from benchmarks.scale.report import ceiling_lines, lines
from service.database.connection import connect, database_url


def run(scale: Scale) -> Sequence[DriverRun]:
    """Run all drivers of a new study, and print the report."""
    scale = replace(scale, name=f"scale-{uuid.uuid4()}")
    engine = connect(database_url())
    before = server_cost(engine)
    runs = _run_drivers(scale)
    for line in lines(scale, runs, before, server_cost(engine)):
        print(line, flush=True)
    cpu_s, wall_s = reopening_s(scale)
    print(f"resume       another driver knows all trials after {cpu_s:.2f} s of CPU, {wall_s:.2f} s")
    engine.dispose()
    return runs


def _run_drivers(scale: Scale) -> Sequence[DriverRun]:
    if scale.drivers == 1:
        return [run_driver(scale)]
    with ProcessPoolExecutor(scale.drivers, mp_context=get_context("spawn")) as processes:
        return list(processes.map(partial(run_driver, scale), range(scale.drivers)))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=256)
    parser.add_argument("--drivers", type=int, default=1, help="processes that share the study and the workers")
    parser.add_argument("--seconds", default="lognormal:5,0.2", help=f"of an evaluation: {FORMS}")
    parser.add_argument("--sampler", default="auto")
    parser.add_argument("--examples", type=int, default=100, help="per objective, whose scores are stored")
    parser.add_argument("--ceiling", type=int, metavar="TRIALS", help="then as many without any time, for the ceiling")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        family = write_deep_family(Path(folder))
        scale = Scale(
            "", family, given.trials, given.workers, given.drivers, given.seconds, given.sampler, given.examples
        )
        if given.trials:
            run(scale)
        if given.ceiling:
            print()
            fast = replace(scale, trials=given.ceiling, seconds="fixed:0")
            for line in ceiling_lines(fast, run(fast)):
                print(line)


if __name__ == "__main__":
    main()
