"""A search's study: ask and tell, continued wherever the last driver left it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Engine, text
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from search_spaces.errors import SelectionError, SpecificationError
from service.studies.ask_and_tell import ask, tell
from service.studies.continuation import ATTRIBUTE, StudyIdentity, check_same
from service.studies.driver import Driver
from service.studies.finished_trials import FinishedTrial, attributes_of, read_finished
from service.studies.orphans import requeue_orphans
from service.studies.score_table import read_scores, read_trial_scores, score_statements
from service.studies.study_storage import BudgetSpentError, LeaseLostError, StudyStorage
from service.studies.trial_cost import REQUEST, is_spent
from service.studies.trial_gradients import GRADIENTS, request_of, stored_gradients
from service.studies.trial_ledger import TrialLedger

if TYPE_CHECKING:
    from workers.evaluation import Evaluation, GradientRequest, Score

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """How the trials of a study are proposed.

    Args:
        distributions: of every parameter.
        sampler: must draw all its knowledge from the study's trials.
        budget: how many evaluations in all; a trial with gradients costs more than one.
        landmarks: name → parameters; asked first.
        differentiable: the objectives whose gradients a trial asks for that its sampler marks so.
    """

    distributions: Mapping[str, BaseDistribution]
    sampler: BaseSampler
    budget: int
    landmarks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    differentiable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """A trial that now runs.

    Args:
        number: of the trial.
        params: its coefficients.
        landmark: the landmark's name, or "".
        gradient: what its worker is asked for beside scores, if anything.
    """

    number: int
    params: Mapping[str, float]
    landmark: str = ""
    gradient: GradientRequest | None = None


class SearchStudy:
    """Optuna's study in Postgres, with leases and an exact budget; several drivers may share it.

    Args:
        engine: see `service.database.connection.connect`.
        driver: this process.
        identity: what the study is.
        plan: how it goes on.

    Raises:
        SpecificationError: a study of that name exists, of another search.
    """

    def __init__(self, engine: Engine, driver: Driver, identity: StudyIdentity, plan: StudyPlan) -> None:
        self._engine = engine
        self._driver = driver
        self._plan = plan
        self.identity = identity
        self._storage = StudyStorage(optuna_storage(engine), driver, plan.budget)
        with engine.connect() as connection:
            # Until the connection is closed: two drivers that start at once make one study.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": identity.name})
            self._study = self._open()
        self._study_id = self._study._study_id
        self.requeue_orphans()

    def _open(self) -> optuna.Study:
        study = optuna.create_study(
            storage=self._storage,
            study_name=self.identity.name,
            directions=["maximize"] * len(self.identity.objectives),
            sampler=self._plan.sampler,
            load_if_exists=True,
        )
        stored = study.user_attrs.get(ATTRIBUTE)
        if stored is not None:
            check_same(self.identity, stored)
            if stored != _stored(self.identity):
                study.set_user_attr(ATTRIBUTE, _stored(self.identity))  # budget, paths or workers have changed
            self._enqueue_landmarks(study)
            return study
        if _is_foreign(study, len(self.identity.objectives)):
            raise SpecificationError(
                f"A study named '{self.identity.name}' exists but is not ours. Choose another `name`."
            )
        self._enqueue_landmarks(study)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the dashboard shows these names
            study.set_metric_names(list(self.identity.objectives))
        # Last, so that a study which lacks it is not taken for whole.
        study.set_user_attr(ATTRIBUTE, _stored(self.identity))
        return study

    def _enqueue_landmarks(self, study: optuna.Study) -> None:
        """Let those be asked next that the study has not: all of a new one, and what was added since."""
        enqueued = {trial.user_attrs.get("landmark") for trial in study.get_trials(deepcopy=False)}
        for landmark, params in self._plan.landmarks.items():
            if landmark not in enqueued:
                study.enqueue_trial(dict(params), user_attrs={"landmark": landmark})

    @property
    def driver(self) -> str:
        """The name of this process."""
        return self._driver.name

    @property
    def n_finished(self) -> int:
        """Trials that are done, failed candidates included."""
        return self._ledger.n_finished

    @property
    def spent(self) -> float:
        """What they cost, in evaluation-equivalents."""
        return self._ledger.spent

    @property
    def is_finished(self) -> bool:
        """Whether the budget is spent: by what is done, for what runs may be lost and run again."""
        return is_spent(self.spent, self._plan.budget)

    def finished_trials(self) -> list[FinishedTrial]:
        """All that is known to this driver, by number."""
        return self._ledger.finished()

    def arrived_after(self, n_known: int) -> Sequence[FinishedTrial]:
        """The finished trials after the first `n_known` that this driver learned of, in that order."""
        return self._ledger.arrived_after(n_known)

    @property
    def _ledger(self) -> TrialLedger:
        return self._storage.ledger(self._study_id)

    def ask(self) -> AskedTrial | None:
        """The next trial, durable and leased; None when the budget has no room for another."""
        self._storage.refresh(self._study_id)
        try:
            trial = ask(self._study, self._storage, self._plan.distributions)
        except BudgetSpentError:
            return None
        try:
            self._storage.flush(trial._trial_id)
        except LeaseLostError:  # after a pause, in which another driver has taken it up
            return self.ask()
        # Read after the flush, which decides whether there is room for the cost of gradients.
        gradient = request_of(trial.system_attrs, self._plan.differentiable, trial.number)
        return AskedTrial(trial.number, dict(trial.params), trial.user_attrs.get("landmark", ""), gradient)

    def take_back(self, number: int) -> bool:
        """Run a trial again whose workers have it still, though its driver was taken for gone.

        Returns:
            Whether it is this driver's now, with the parameters that it had.
        """
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return self._storage.is_ours(trial_id) or self._storage.take_back(trial_id, self._plan.distributions)

    def tell(self, number: int, evaluation: Evaluation) -> bool:
        """Store a result, in one transaction; one that waits again is taken back first.

        Returns:
            False when another driver has taken over the trial: then its result counts, and not this one.
        """
        if not self.take_back(number):
            return False  # as an ask has learned since
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        for key, value in attributes_of(evaluation, self.identity.objectives).items():
            self._storage.set_trial_user_attr(trial_id, key, value)
        # Only what was paid for: one that was taken back when the budget had no room for them is a plain trial.
        if evaluation.gradients and REQUEST in self._storage.get_trial(trial_id).system_attrs:
            gradients = stored_gradients(evaluation, self._plan.distributions)
            self._storage.set_trial_system_attr(trial_id, GRADIENTS, gradients)
        # Estimates have no examples, and those of a part would be taken for the set's.
        self._storage.set_trial_scores(trial_id, evaluation.scores if evaluation.is_whole else {})
        try:
            objectives = self.identity.objectives
            values = [evaluation.scores[name].value for name in objectives] if evaluation.succeeded else None
            tell(self._study, self._storage, trial_id, values)
        except LeaseLostError:
            self._storage.refresh(self._study_id)
            return False
        return True

    def add_scores(self, number: int, scores: Mapping[str, Score]) -> None:
        """Store further scores of a finished trial, such as those on held-out examples."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        self._driver.round_trips.send(*score_statements(trial_id, scores))

    def scores(self) -> dict[int, dict[str, Score]]:
        """Trial number → measure → score, without the examples' own."""
        return read_scores(self._engine, self.identity.name)

    def trial_scores(self, number: int) -> dict[str, Score]:
        """One trial's scores with each example's own: measure → score."""
        return read_trial_scores(self._engine, self.identity.name, number)

    def requeue_orphans(self) -> int:
        """Take up trials whose driver is gone; see `service.studies.orphans`."""
        n_params = len(self._plan.distributions)
        found = requeue_orphans(self._engine, self._study_id, self._driver, n_params)
        self._storage.refresh(self._study_id)
        return found


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as it stands in the database, for reading.

    Args:
        identity: what it is.
        trials: the finished ones, by number.
        scores: trial number → measure → score, without the examples' own.
    """

    identity: StudyIdentity
    trials: tuple[FinishedTrial, ...]
    scores: Mapping[int, Mapping[str, Score]]


def load_study(engine: Engine, name: str) -> StoredStudy:
    """Read a study.

    Raises:
        SelectionError: there is none of that name; the message lists those that are.
    """
    backend = optuna_storage(engine)
    names = sorted(optuna.get_all_study_names(backend))
    if name not in names:
        known = ", ".join(names[:10]) or "none"
        raise SelectionError(f"A search must exist to be read, but there is none named '{name}'. There are: {known}.")
    study = optuna.load_study(study_name=name, storage=backend)
    stored = study.user_attrs.get(ATTRIBUTE)
    if stored is None:
        raise SelectionError(f"'{name}' is an Optuna study, but not one of a merge search.")
    identity = StudyIdentity(name, tuple(stored["objectives"]), stored["fixed"], stored["specification"])
    trials = tuple(read_finished(study.get_trials(deepcopy=False)))
    return StoredStudy(identity, trials, read_scores(engine, name))


def optuna_storage(engine: Engine) -> RDBStorage:
    """Optuna's storage over our engine: one pool of connections, which closes with it."""
    url = engine.url.render_as_string(hide_password=False)
    backend = RDBStorage(url, engine_kwargs={"poolclass": NullPool}, skip_table_creation=True)
    backend.engine = engine
    backend.scoped_session = scoped_session(sessionmaker(bind=engine))
    return backend


def _is_foreign(study: optuna.Study, n_objectives: int) -> bool:
    """Whether a study without our mark is more than the rest of an opening that was interrupted."""
    ours = [StudyDirection.MAXIMIZE] * n_objectives
    trials = study.get_trials(deepcopy=False)
    queued = all(trial.state == TrialState.WAITING and "landmark" in trial.user_attrs for trial in trials)
    return study.directions != ours or bool(study.user_attrs) or not queued


def _stored(identity: StudyIdentity) -> dict[str, Any]:
    return {
        "objectives": list(identity.objectives),
        "fixed": dict(identity.fixed),
        "specification": dict(identity.specification),
    }
