"""The loop's overhead per evaluation: everything that is neither making nor scoring a candidate.

A search over the bundled tiny family, per tensor and cut to 40 dimensions, with one Ray worker, in the study's own
Postgres; measured after 1,000 trials. Ask and tell are timed by themselves; dispatch is what remains of a round
between handing a recipe to the worker and having its scores, less the worker's own time.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections import defaultdict
from statistics import median

from service.database.connection import connect, database_url
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.specification import parse_specification
from service.studies import Driver, SearchStudy, StudyPlan
from workers.evaluation import Assignment, Evaluation, Score
from workers.worker_pools import WorkerPool

PROMISED_MS = 60

_SPECIFICATION = """
name: {name}
models:
  base: base
  experts: {{aligned: aligned, expert: expert}}
space:
  granularity: tensor
  bounds: [{{filter: "model.layers.[01].*", weight: 0.5}}]
objectives:
  alignment: {{set: safety.jsonl, scorer: refusal_margin}}
  expertise: {{set: domain.jsonl, scorer: answer_likelihood}}
search: {{sampler: {sampler}, evaluations: {evaluations}, seed: 0}}
"""


def prepare(sampler: str, evaluations: int) -> PreparedSearch:
    """The tiny family per tensor: two of four layers, embeddings and final norm, for two experts."""
    text = _SPECIFICATION.format(name=f"bench-{uuid.uuid4()}", sampler=sampler, evaluations=evaluations)
    return prepare_search(parse_specification(text, FAMILY))


def fill(study: SearchStudy, n_trials: int) -> None:
    """Trials as a search would have left them; their values are a function of their parameters."""
    for _ in range(n_trials):
        trial = study.ask()
        assert trial is not None  # the budget is larger
        weights = list(trial.params.values())
        values = sum(weights[::2]) - sum(w * w for w in weights), sum(weights[1::2]) - sum(w * w for w in weights)
        scores = [Score(value, 0.1, 96, ()) for value in values]
        study.tell(trial.number, Evaluation(dict(zip(study.identity.objectives, scores, strict=True)), 0.001, 0.07))


def measure(prepared: PreparedSearch, study: SearchStudy, pool: WorkerPool, rounds: int) -> dict[str, list[float]]:
    """Seconds of each stage of the loop, round by round."""
    stages: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        started = time.perf_counter()
        trial = study.ask()
        assert trial is not None  # the budget is larger
        asked = time.perf_counter()
        pool.submit(trial.number, Assignment(prepared.recipe(trial.params), prepared.objectives))
        finished = pool.next_finished()
        assert finished is not None  # every ticket comes back
        scored = time.perf_counter()
        study.tell(*finished)
        told = time.perf_counter()
        evaluation = finished[1]
        stages["ask"].append(asked - started)
        stages["dispatch"].append(scored - asked - evaluation.make_s - evaluation.score_s)
        stages["make"].append(evaluation.make_s)
        stages["score"].append(evaluation.score_s)
        stages["tell"].append(told - scored)
        stages["overhead"].append(told - started - evaluation.make_s - evaluation.score_s)
    return stages


def main() -> None:
    """Print each stage's median for each sampler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samplers", default="nsga2,tpe")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    engine = connect(database_url())
    for sampler in arguments.samplers.split(","):
        prepared = prepare(sampler, arguments.trials + arguments.rounds + 10)
        with Driver(engine) as driver, prepared.open_pool() as pool:
            # The trials before are laid down at random: only those measured are the sampler's.
            filler = SearchStudy(engine, driver, prepared.identity, _random_plan(prepared))
            fill(filler, arguments.trials)
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            stages = measure(prepared, study, pool, arguments.rounds)
        overhead_ms = median(stages["overhead"]) * 1e3
        parts = "  ".join(f"{name} {median(times) * 1e3:.1f}" for name, times in stages.items() if name != "overhead")
        worst = max(stages["overhead"]) * 1e3
        print(f"{sampler}: {prepared.space.n_dims} dimensions, after {arguments.trials} trials, median ms: {parts}")
        print(
            f"{sampler}: overhead (ask + dispatch + tell) {overhead_ms:.1f} ms median, {worst:.0f} ms worst "
            f"of {arguments.rounds}; promised <= {PROMISED_MS} ms",
            flush=True,
        )


def _random_plan(prepared: PreparedSearch) -> StudyPlan:
    search = prepared.specification.search.model_copy(update={"sampler": "random"})
    specification = prepared.specification.model_copy(update={"search": search})
    return PreparedSearch(specification, prepared.headers, prepared.space, prepared.measures).plan()


if __name__ == "__main__":
    main()
