"""Services to be asked: the real one over a socket, and servers that say whatever a test wants said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from sqlalchemy import Engine

from service.api.app import create_app
from service.client.remote_service import Patience, RemoteService
from service.client.server_address import ServerAddress
from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.settings import ServiceSettings
from service.studies import Driver, SearchStudy, StudyIdentity, StudyPlan
from tests.scripted_server import ScriptedServer, running
from tests.uvicorn_server import running as running_service
from workers.evaluation import Evaluation, FailureReason, Score

Scripted = Callable[..., ScriptedServer]
Connect = Callable[..., RemoteService]

TOKEN = "a-token-that-nobody-may-read"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Starts a server that gives these answers."""
    with ExitStack() as stack:
        yield lambda *script: stack.enter_context(running(ScriptedServer(list(script))))


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A client of a server; it soon loses its patience."""
    with ExitStack() as stack:

        def to(url: str, token: str = "") -> RemoteService:
            patience = Patience(n_attempts=3, first_wait_s=0.01, poll_s=0.01)
            return stack.enter_context(RemoteService(ServerAddress(url, token), patience))

        yield to


# ---- the real service ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    return ServiceSettings(database_url=database_url, exports=tmp_path_factory.mktemp("exports"), token=TOKEN)


@pytest.fixture(scope="session")
def service_url(settings: ServiceSettings, engine: Engine) -> Iterator[str]:
    """The service's application, answering at a socket; nothing drives its searches."""
    with running_service(create_app(settings, engine)) as url:
        yield url


@pytest.fixture
def service(service_url: str, connect: Connect) -> RemoteService:
    """A client of the real service, with its token."""
    return connect(service_url, TOKEN)


@pytest.fixture
def stored(engine: Engine, study_name: str) -> Iterator[Callable[..., SearchStudy]]:
    """Writes a study as a search does: landmarks, candidates, failures, one that lost a race, and verdicts."""
    with ExitStack() as stack:

        def write(n_trials: int = 12, *, verdicts: bool = True, racing: bool = False) -> SearchStudy:
            driver = stack.enter_context(Driver(engine))
            study = SearchStudy(engine, driver, identity(study_name, racing), plan(n_trials))
            for _ in range(n_trials):
                asked = study.ask()
                assert asked is not None
                study.tell(asked.number, evaluation(asked.number, racing))
            for trial in study.finished_trials() if verdicts else ():
                if trial.succeeded and not trial.was_stopped:
                    study.add_scores(trial.number, held_out(trial.values))
            return study

        yield write


# Not in the order of the alphabet, nor of their lengths.
OBJECTIVES = ("restraint", "expertise", "alignment")


def identity(name: str, racing: bool) -> StudyIdentity:
    objectives = {measure: {"set": f"/sets/{measure}.jsonl", "scorer": "refusal"} for measure in OBJECTIVES}
    search = {"sampler": "random", "evaluations": 12, "seed": 0, "landmarks": True, "racing": racing}
    models = {"base": "/models/base", "experts": {"expert": "/models/expert"}}
    specification = {"name": name, "models": models, "objectives": objectives, "search": search}
    return StudyIdentity(name, OBJECTIVES, {}, specification)


def plan(budget: int) -> StudyPlan:
    distributions: dict[str, BaseDistribution] = {
        f"expert/layer.{i}/weight": FloatDistribution(0.0, 1.5) for i in range(3)
    }
    sampler = TrialSeededSampler(SAMPLERS["random"], 0, SearchShape(3, 3, budget), distributions)
    landmarks = {name: dict.fromkeys(distributions, value) for name, value in {"base": 0.0, "expert": 1.0}.items()}
    return StudyPlan(distributions, sampler, budget, landmarks)


def evaluation(number: int, racing: bool) -> Evaluation:
    if number == 5:
        return Evaluation(failure=FailureReason.TIMEOUT, message="It took too long.", make_s=0.1)
    draw = Random(number).random
    share = 0.25 if racing and number == 7 else 1.0
    scores = {name: Score(draw() / 3 if share < 1 else draw(), draw() / 10, 4, (draw(),) * 4) for name in OBJECTIVES}
    return Evaluation(scores, make_s=draw(), score_s=draw(), share=share)


def held_out(values: tuple[float, ...]) -> dict[str, Score]:
    scores = {f"{name}@holdout": Score(v - 0.01, 0.1, 4, ()) for name, v in zip(OBJECTIVES, values, strict=True)}
    return scores | {"exact_match@holdout": Score(0.5, None, 1, ())}
