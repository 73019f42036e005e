"""Studies of thousands of trials, written in bulk: what readers meet at the end of a long search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, distribution_to_json
from sqlalchemy import Connection, Engine, text

from service.demo import demo_specification
from service.search import PreparedSearch, prepare_search
from service.search.measures import HOLDOUT
from service.search.selection import front_of
from service.specification import parse_specification
from service.studies import AskedTrial, Driver, SearchStudy
from workers.evaluation import Evaluation, FailureReason, Score

N_EXAMPLES = 48
# As in a real search: most candidates fail for a reason that lies in their numbers.
_FAILED_SHARE = 0.03
_CHUNK = 1000

_STUDY_ID = text("SELECT study_id FROM studies WHERE study_name = :name")
_INSERT_TRIALS = text(
    "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)"
    " SELECT number, :study, CAST(state AS trialstate), now(), now()"
    " FROM unnest(CAST(:numbers AS int[]), CAST(:states AS text[])) AS given (number, state)"
    " ORDER BY number RETURNING trial_id"
)
_INSERT_PARAMS = text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " SELECT trial_id, name, random() * 1.5, kind FROM unnest(CAST(:trials AS int[])) AS given (trial_id),"
    " unnest(CAST(:names AS text[]), CAST(:kinds AS text[])) AS params (name, kind)"
)
_INSERT_VALUES = text(
    "INSERT INTO trial_values (trial_id, objective, value, value_type)"
    " SELECT *, 'FINITE' FROM unnest(CAST(:trials AS int[]), CAST(:objectives AS int[]), CAST(:values AS float8[]))"
)
_INSERT_ATTRIBUTES = text(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json)"
    " SELECT * FROM unnest(CAST(:trials AS int[]), CAST(:keys AS text[]), CAST(:values AS text[]))"
)
_INSERT_SCORES = text(
    "INSERT INTO paretomerge_scores (trial_id, measure, value, standard_error, per_example)"
    " SELECT trial_id, measure, value, 0.02, array_fill(value, ARRAY[:n])"
    " FROM unnest(CAST(:trials AS int[]), CAST(:measures AS text[]), CAST(:values AS float8[]))"
    " AS given (trial_id, measure, value)"
)


@dataclass(frozen=True, slots=True)
class BulkStudy:
    """A study that is being written.

    Args:
        prepared: the search over the bundled family.
        study: opened by a driver of this process.
    """

    prepared: PreparedSearch
    study: SearchStudy


def open_bulk_study(engine: Engine, driver: Driver, name: str, budget: int) -> BulkStudy:
    """Open a search over the bundled family; its landmarks wait to be asked."""
    text = demo_specification(name, budget, 1).replace("sampler: auto", "sampler: nsga2")
    text = text.replace("workers: {", "workers: {pool: in_process, ")
    prepared = prepare_search(parse_specification(text, Path("/")))
    return BulkStudy(prepared, SearchStudy(engine, driver, prepared.identity, prepared.plan()))


def made_up(rng: np.random.Generator, n_finished: int) -> Evaluation:
    """What a candidate of a search so far may score: a trade-off that later candidates push outwards."""
    if rng.random() < _FAILED_SHARE:
        return Evaluation(failure=FailureReason.NON_FINITE_SCORE, message="made up", make_s=0.01, score_s=0.2)
    alignment, expertise = _values(rng, np.array([n_finished]))[0]
    values = {"alignment": float(alignment), "expertise": float(expertise)}
    return Evaluation({name: _score(value) for name, value in values.items()}, make_s=0.01, score_s=0.2)


def fill(engine: Engine, bulk: BulkStudy, n_trials: int, seed: int = 0) -> None:
    """Tell the landmarks as a driver does, write the other trials in bulk, and score the front on held-out examples."""
    rng = np.random.default_rng(seed)
    study = bulk.study
    while (asked := _next_landmark(study, len(bulk.prepared.encoded_landmarks))) is not None:
        study.tell(asked.number, made_up(rng, 0))
    with engine.begin() as connection:
        study_id = connection.execute(_STUDY_ID, {"name": study.identity.name}).scalar_one()
        for start in range(study.n_finished, n_trials, _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, n_trials))
            _insert(connection, study_id, numbers, bulk.prepared.space.distributions(), rng)
    # The driver's memory knows nothing of what was written past it.
    study._storage.refresh(study._study_id)
    trials = study.finished_trials()
    for trial in {trial.number: trial for trial in (*front_of(trials), *(t for t in trials if t.landmark))}.values():
        if trial.succeeded:
            scored = zip(study.identity.objectives, trial.values, strict=True)
            study.add_scores(trial.number, {f"{name}{HOLDOUT}": _score(value - 0.01) for name, value in scored})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _next_landmark(study: SearchStudy, n_landmarks: int) -> AskedTrial | None:
    return study.ask() if study.n_finished < n_landmarks else None


def _insert(
    connection: Connection,
    study_id: int,
    numbers: NDArray[np.int64],
    distributions: Mapping[str, BaseDistribution],
    rng: np.random.Generator,
) -> None:
    failed = rng.random(len(numbers)) < _FAILED_SHARE
    states = ["FAIL" if fail else "COMPLETE" for fail in failed]
    rows = {"study": study_id, "numbers": numbers.tolist(), "states": states}
    trials = sorted(connection.execute(_INSERT_TRIALS, rows).scalars())
    kinds = [distribution_to_json(distribution) for distribution in distributions.values()]
    connection.execute(_INSERT_PARAMS, {"trials": trials, "names": list(distributions), "kinds": kinds})
    done = [trial for trial, fail in zip(trials, failed, strict=True) if not fail]
    values = _values(rng, numbers[~failed])
    flat = {"trials": np.repeat(done, 2).tolist(), "values": values.ravel().tolist()}
    connection.execute(_INSERT_VALUES, {**flat, "objectives": [0, 1] * len(done)})
    connection.execute(_INSERT_SCORES, {**flat, "measures": ["alignment", "expertise"] * len(done), "n": N_EXAMPLES})
    attributes: dict[str, Any] = {"make_s": 0.01, "score_s": 0.2}
    of_done = attributes | {"standard_errors": [0.02, 0.02], "n_examples": [N_EXAMPLES, N_EXAMPLES]}
    of_failed = attributes | {"failure": "non_finite_score", "failure_message": "made up"}
    given = [
        (t, k, json.dumps(v))
        for t, fail in zip(trials, failed, strict=True)
        for k, v in (of_failed if fail else of_done).items()
    ]
    columns = dict(zip(("trials", "keys", "values"), map(list, zip(*given, strict=True)), strict=True))
    connection.execute(_INSERT_ATTRIBUTES, columns)


def _values(rng: np.random.Generator, n_finished: NDArray[np.int64]) -> NDArray[np.float64]:
    """`n x 2`: below a quarter circle, nearer to it the later."""
    angle = rng.random(len(n_finished)) * np.pi / 2
    radius = 1.0 - rng.exponential(0.2, len(n_finished)) / (1.0 + n_finished / 2000)
    return np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]


def _score(value: float) -> Score:
    return Score(value, 0.02, N_EXAMPLES, (value,) * N_EXAMPLES)
