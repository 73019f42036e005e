"""The study: Optuna's, in Postgres, the one source of truth of a search."""

from __future__ import annotations

from service.studies.continuation import StudyIdentity, check_continues
from service.studies.driver import Driver
from service.studies.finished_trials import FinishedTrial, reference_point, saved_evaluations, spent_evaluations
from service.studies.search_study import (
    AskedTrial,
    SearchStudy,
    StoredStudy,
    StudyPlan,
    load_study,
    optuna_storage,
)

__all__ = [
    "AskedTrial",
    "Driver",
    "FinishedTrial",
    "SearchStudy",
    "StoredStudy",
    "StudyIdentity",
    "StudyPlan",
    "check_continues",
    "load_study",
    "optuna_storage",
    "reference_point",
    "saved_evaluations",
    "spent_evaluations",
]
