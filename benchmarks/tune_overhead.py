"""What a trial costs under Ray Tune beside our own loop: everything that is neither making nor scoring a candidate.

The same search over the bundled tiny family, on the same cluster of Ray's and in the same Postgres, in turns. Of each
run the time from the workers' first trials to the last is taken, times workers, by trial, less what the workers were
busy with; so the first start of workers is left out, but not those that Tune makes for single trials. Beside it stands
the driver's own time on a core, from its start on, which a busy machine lengthens less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

from ray import tune
from sqlalchemy import Engine, text

from service.database.connection import connect, database_url
from service.demo import demo_specification
from service.ray_tune import merge_tuner
from service.search import PreparedSearch, SearchLoop, prepare_search
from service.search.session import open_session
from service.specification import parse_specification
from service.studies import load_study
from workers.worker_pools import CONNECTED, LOCAL, RayOptions, RayPool
from workers.worker_pools.ray_connection import connect_to_ray

_LOGGERS_OFF = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"
_TOLD = text(
    "SELECT datetime_complete, number FROM trials JOIN studies USING (study_id) WHERE study_name = :name ORDER BY 1"
)

Run = Callable[[PreparedSearch], None]


def prepare(evaluations: int, n_workers: int) -> PreparedSearch:
    """Of a name of its own; random, so that the sampler takes no time."""
    yaml = demo_specification(f"bench-{uuid.uuid4()}", evaluations, n_workers).replace("auto", "random")
    return prepare_search(parse_specification(yaml, Path.cwd()))


def by_our_loop(prepared: PreparedSearch) -> None:
    options = RayOptions(n_workers=prepared.specification.workers.count, address=CONNECTED)
    with open_session(prepared) as session, RayPool(prepared.worker_setup(), options) as pool:
        SearchLoop(prepared, session.study, pool).run()


def by_tune(*, reuse_actors: bool, has_loggers: bool) -> Run:
    def run(prepared: PreparedSearch) -> None:
        os.environ[_LOGGERS_OFF] = "0" if has_loggers else "1"
        with tempfile.TemporaryDirectory() as folder:
            run_config = tune.RunConfig(storage_path=folder, verbose=0)
            merge_tuner(prepared, run_config=run_config, reuse_actors=reuse_actors).fit()

    return run


def overhead_ms(engine: Engine, prepared: PreparedSearch) -> float:
    """Of a finished search, by trial."""
    name, n_workers = prepared.specification.name, prepared.specification.workers.count
    with engine.connect() as connection:
        told = connection.execute(_TOLD, {"name": name}).all()
    trials = {trial.number: trial for trial in load_study(engine, name).trials if trial.succeeded}
    if len(trials) != prepared.specification.search.evaluations:
        raise SystemExit(f"{name} must have finished with every trial scored, but has not.")
    # From when every worker has had a first trial, which takes longer than others.
    warm = [trials[row.number] for row in told[n_workers:]]
    elapsed_s: float = (told[-1].datetime_complete - told[n_workers - 1].datetime_complete).total_seconds()
    return 1e3 * (elapsed_s * n_workers / len(warm) - fmean(trial.make_s + trial.score_s for trial in warm))


def main() -> None:
    """Print each way's overhead, for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--trials-without-reuse", type=int, default=6, help="each of them starts a worker; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    arguments = parser.parse_args()
    engine = connect(database_url())
    connect_to_ray(LOCAL, n_cpus=max(arguments.workers))
    ways: dict[str, tuple[Run, int]] = {
        "our own loop": (by_our_loop, arguments.trials),
        "Tune, workers reused": (by_tune(reuse_actors=True, has_loggers=True), arguments.trials),
        "Tune, workers reused, no log files": (by_tune(reuse_actors=True, has_loggers=False), arguments.trials),
        "Tune, a worker for each trial": (
            by_tune(reuse_actors=False, has_loggers=True),
            arguments.trials_without_reuse,
        ),
    }
    if not arguments.trials_without_reuse:
        del ways["Tune, a worker for each trial"]
    for n_workers in arguments.workers:
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for number in range(arguments.rounds):
            for way, (run, evaluations) in ways.items():
                prepared = prepare(evaluations, n_workers)
                started = time.process_time()
                run(prepared)
                driver_ms = 1e3 * (time.process_time() - started) / evaluations
                found[way].append((overhead_ms(engine, prepared), driver_ms))
                print(f"round {number + 1}, {n_workers} worker(s), {way}: {found[way][-1][0]:.0f} ms", flush=True)
        for way, measured in found.items():
            times, driver = zip(*measured, strict=True)
            print(
                f"{n_workers} worker(s), {ways[way][1]} trials, {way}: {median(times):.0f} ms per trial "
                f"({min(times):.0f} to {max(times):.0f}); its driver computes {median(driver):.0f} ms per trial",
                flush=True,
            )


if __name__ == "__main__":
    main()
