"""Studies in a real PostgreSQL, without models: two objectives over a box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import RDBStorage
from sqlalchemy import Engine, text

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies import Driver, SearchStudy, StudyIdentity, StudyPlan
from workers.evaluation import Evaluation, Score

OpenStudy = Callable[..., SearchStudy]
ReadPlainly = Callable[..., list[optuna.trial.FrozenTrial]]
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def driver(engine: Engine) -> Iterator[Driver]:
    with Driver(engine) as driver:
        yield driver


@pytest.fixture
def other_driver(engine: Engine) -> Iterator[Driver]:
    with Driver(engine) as driver:
        yield driver


def box(n_dims: int) -> dict[str, BaseDistribution]:
    return {f"expert/layer.{i}/weight": FloatDistribution(0.0, 1.5) for i in range(n_dims)}


@pytest.fixture
def open_study(engine: Engine, study_name: str) -> OpenStudy:
    """Open the test's study as a driver: `n_dims`, `sampler`, `budget`, `landmarks`, `fixed`, `share` as keywords."""

    def open_it(
        driver: Driver,
        *,
        n_dims: int = 2,
        sampler: str = "random",
        budget: int = 10,
        landmarks: Mapping[str, Mapping[str, float]] | None = None,
        fixed: Mapping[str, Any] | None = None,
        share: float = 1.0,
    ) -> SearchStudy:
        distributions = box(n_dims)
        identity = StudyIdentity(study_name, ("alignment", "expertise"), fixed or {}, {"name": study_name})
        shape = SearchShape(n_dims, 2, budget, gradient_share=share)
        seeded = TrialSeededSampler(SAMPLERS[sampler], 0, shape, distributions)
        plan = StudyPlan(distributions, seeded, budget, landmarks or {}, differentiable=("alignment",))
        return SearchStudy(engine, driver, identity, plan)

    return open_it


@pytest.fixture
def read_plainly(database_url: str, study_name: str) -> Iterator[ReadPlainly]:
    """Trials of a study, the test's own if not told otherwise, as anybody's Optuna reads them."""
    with ExitStack() as stack:

        def read(name: str = study_name) -> list[optuna.trial.FrozenTrial]:
            storage = RDBStorage(database_url)
            stack.callback(storage.engine.dispose)
            return optuna.load_study(study_name=name, storage=storage).trials

        yield read


@pytest.fixture
def query(engine: Engine) -> Query:
    """Run SQL and return its rows."""

    def run(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


@pytest.fixture
def expire_leases(query: Query) -> Callable[[Driver], None]:
    """Let a driver look as if it had been silent for long; it says no more."""

    def expire(driver: Driver) -> None:
        driver._stop.set()
        driver._thread.join()
        query(
            "UPDATE paretomerge_leases SET expires_at = now() - interval '1 second' WHERE driver = :driver",
            driver=driver.name,
        )

    return expire


@pytest.fixture
def evaluation() -> Callable[..., Evaluation]:
    """An evaluation with the given values."""

    def make(alignment: float = 0.5, expertise: float = 0.5) -> Evaluation:
        values = {"alignment": alignment, "expertise": expertise}
        scores = {name: Score(value, 0.1, 8, (value,) * 8) for name, value in values.items()}
        return Evaluation(scores, make_s=0.01, score_s=0.02)

    return make
