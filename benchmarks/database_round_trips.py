"""What an ask and a tell cost in round trips to the database, and in time on a near and on a distant one.

A study of its own in the user's database, behind a proxy that counts and delays (see `slow_database`). Nothing is made
or scored: the trials are asked for, told a function of their parameters, and what the database is asked meanwhile is
counted. A driver's signs of life, on a connection of their own, are not.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from benchmarks.slow_database import SlowDatabase
from service.database.connection import connect, database_url
from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies import Driver, SearchStudy, StudyIdentity, StudyPlan
from workers.evaluation import Evaluation, Score

# The parts of an ask, as the storage has them.
PARTS = {"refresh": "look", "create_new_trial": "create", "flush": "parameters"}

Costs = dict[str, list[tuple[int, float]]]


class Meter:
    """Counts and times calls by name.

    Args:
        database: the proxy between.
    """

    def __init__(self, database: SlowDatabase) -> None:
        self._database = database
        self.costs: Costs = defaultdict(list)

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """What is done meanwhile."""
        n_round_trips, started = self._database.n_round_trips, time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.costs[name].append((self._database.n_round_trips - n_round_trips, seconds))

    def watch(self, storage: Any) -> None:
        """Measure the parts of an ask as well."""
        for method, part in PARTS.items():
            setattr(storage, method, self._measuring(getattr(storage, method), part))

    def _measuring(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            with self.measured(part):
                return method(*arguments)

        return measured


def measure(url: str, sampler: str, n_dims: int, rounds: int, delay_s: float) -> Costs:
    """Round trips and seconds of each ask and tell, once the connections are there."""
    with SlowDatabase(url, delay_s) as database:
        engine = connect(database.url)
        with Driver(engine) as driver:
            study, meter = _study(engine, driver, sampler, n_dims, 4 * rounds), Meter(database)
            _run(study, Meter(database), rounds)
            meter.watch(study._storage)
            _run(study, meter, rounds)
        engine.dispose()
    return meter.costs


def _run(study: SearchStudy, meter: Meter, rounds: int) -> None:
    for _ in range(rounds):
        with meter.measured("ask"):
            trial = study.ask()
        assert trial is not None  # the budget is larger
        values = dict.fromkeys(study.identity.objectives, sum(trial.params.values()))
        scores = {name: Score(value, 0.1, 96, (value,) * 96) for name, value in values.items()}
        with meter.measured("tell"):
            assert study.tell(trial.number, Evaluation(scores, 0.001, 0.07))


def _study(engine: Any, driver: Driver, sampler: str, n_dims: int, budget: int) -> SearchStudy:
    box: dict[str, BaseDistribution] = {f"expert/layer.{i}/weight": FloatDistribution(0.0, 1.5) for i in range(n_dims)}
    identity = StudyIdentity(f"bench-{uuid.uuid4()}", ("alignment", "expertise"), {}, {})
    seeded = TrialSeededSampler(SAMPLERS[sampler], 0, SearchShape(n_dims, 2, budget), box)
    return SearchStudy(engine, driver, identity, StudyPlan(box, seeded, budget))


def main() -> None:
    """Print a line for each sampler and distance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samplers", default="random,nsga2,tpe")
    parser.add_argument("--dimensions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--delays-ms", default="0,20", help="of each direction: a round trip takes twice as long")
    arguments = parser.parse_args()
    url = database_url()
    print(f"{arguments.dimensions} parameters, medians of {arguments.rounds}: round trips / ms")
    for delay_ms in map(float, arguments.delays_ms.split(",")):
        for sampler in arguments.samplers.split(","):
            costs = measure(url, sampler, arguments.dimensions, arguments.rounds, delay_ms / 1e3)
            shown = "  ".join(f"{name} {_median(costs[name])}" for name in ("ask", "tell", *PARTS.values()))
            print(f"{sampler:8} {2 * delay_ms:3.0f} ms away: {shown}", flush=True)


def _median(costs: list[tuple[int, float]]) -> str:
    trips, seconds = zip(*costs, strict=True)
    return f"{median(trips):g} / {median(seconds) * 1e3:.1f}"


if __name__ == "__main__":
    main()
