"""The driver of one export, or of one set of completions, under Ray; it has one worker."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, DatabaseError, FailureError, ParetomergeError, PoolError
from search_spaces.merge_recipe import BASE
from service.registry import CompletionsRow, ExportRow, JobRegistry
from service.supervision.driver_actor import DriverActor, DriverSetup, SupersededError
from service.supervision.search_driver import open_connected_pool

if TYPE_CHECKING:
    from service.search import PreparedSearch
    from service.studies import FinishedTrial, StoredStudy
    from workers.worker_pools import WorkerPool

_STARTING = "starting a worker"


@dataclass(frozen=True, slots=True)
class JobDriverSetup(DriverSetup):
    """What the driver of a job is told.

    Args:
        job_id: of its row.
        exports: the folder below which exports go.
    """

    job_id: uuid.UUID
    exports: Path


class JobDriver(DriverActor):
    """Does a job, and says in its row what came of it.

    Args:
        setup: which job.
    """

    kind: ClassVar[Any]

    def __init__(self, setup: JobDriverSetup) -> None:
        self._setup = setup
        super().__init__()

    def _work(self) -> None:
        from service.database.connection import connect
        from service.studies import load_study

        engine = connect(self._setup.database_url)
        try:
            self._jobs: JobRegistry[Any] = JobRegistry(engine, self.kind)
            row = self._jobs.get(self._setup.job_id)
            result = self._result(row, load_study(engine, row.search))
            self._jobs.finish(self._setup.job_id, result, self._setup.driver)
        except SupersededError:
            return
        except ParetomergeError as error:
            # What is nobody's mistake may be mended by another worker, or another cluster.
            if isinstance(error, DatabaseError | PoolError) or (
                isinstance(error, FailureError) and self.lost_cluster()
            ):
                raise
            self._jobs.fail(self._setup.job_id, str(error), self._setup.driver)
        finally:
            engine.dispose()

    def _tell(self, stage: str) -> None:
        if not self._jobs.report(self._setup.job_id, stage, self._setup.driver):
            raise SupersededError

    @abstractmethod
    def _result(self, row: Any, study: StoredStudy) -> dict[str, Any]:
        """Do the job; the outcome as JSON."""


class ExportDriver(JobDriver):
    """Writes a merge."""

    kind = ExportRow

    def _result(self, row: ExportRow, study: StoredStudy) -> dict[str, Any]:
        from service.exports import (
            ExportRequest,
            check_export,
            export_merge,
            is_exported,
            remove_partial_exports,
        )
        from service.search import prepare_stored

        prepared = prepare_stored(study, checks_engine=False)
        landmarks = tuple(trial for trial in study.trials if trial.landmark and trial.succeeded)
        folder = self._setup.exports / row.folder
        request = ExportRequest(prepared, _trial(row, study), landmarks, folder, row.max_shard_size)
        remove_partial_exports(folder)
        self._tell(_STARTING)
        with _one_worker(prepared) as pool:
            if row.n_starts > 1 and is_exported(request):
                self._tell("reloading and scoring")
                exported = check_export(request, pool)
            else:
                exported = export_merge(request, pool, self._tell)
        scores = {measure: score.value for measure, score in exported.scores.items()}
        return {"scores": scores, "largest_difference": exported.largest_difference}


class CompletionsDriver(JobDriver):
    """Lets a trial's merge, the base and every expert answer the same prompts."""

    kind = CompletionsRow

    def _result(self, row: CompletionsRow, study: StoredStudy) -> dict[str, Any]:
        from service.search import prepare_stored

        prepared = prepare_stored(study, checks_engine=False)
        trial = _trial(row, study)
        self._tell(_STARTING)
        with _one_worker(prepared) as pool:
            recipes = recipes_side_by_side(prepared, trial)
            return {"answers": {name: self._answer(pool, row, name, recipe) for name, recipe in recipes.items()}}

    def _answer(self, pool: WorkerPool, row: CompletionsRow, name: str, recipe: MergeRecipe) -> list[str]:
        from workers.evaluation import Assignment

        self._tell(f"{name} answers")
        evaluation = pool.evaluate(Assignment(recipe, measures=(), prompts=tuple(row.prompts)))
        if evaluation.failure is not None:
            raise CandidateError(evaluation.failure, f"'{name}' must answer, but could not: {evaluation.message}")
        return list(evaluation.answers)


def recipes_side_by_side(prepared: PreparedSearch, trial: FinishedTrial) -> dict[str, MergeRecipe]:
    """The trial's merge, the base and every expert alone; in any space, whatever its method and bounds are."""
    merge = prepared.recipe(trial.params)

    def alone(model: str) -> MergeRecipe:
        # Task arithmetic gives a lone model back exactly: the base at weight 0, an expert at 1.
        weights = {
            expert: {group: {"weight": float(expert == model)} for group in merge.groups} for expert in merge.experts
        }
        return replace(merge, method="task_arithmetic", coefficients=weights, normalize=False)

    return {f"trial {trial.number}": merge} | {model: alone(model) for model in (BASE, *merge.experts)}


def _trial(row: ExportRow | CompletionsRow, study: StoredStudy) -> FinishedTrial:
    from service.search.selection import select_trial

    return select_trial(study.trials, study.identity.objectives, row.trial)


def _one_worker(prepared: PreparedSearch) -> WorkerPool:
    return open_connected_pool(prepared.worker_setup(), prepared.specification.workers, n_workers=1)
