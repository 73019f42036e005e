"""What a merge can do beside its base and experts: benchmark tasks and a safety set, as a report."""

from __future__ import annotations

from service.evaluations.evaluated_models import EvaluatedModels, models_of_export, models_of_trial, read_against
from service.evaluations.evaluation_request import EvaluationRequest, PreparedEvaluation, prepare_evaluation
from service.evaluations.report import EvaluationReport, ReportFiles
from service.evaluations.safety_set import SafetyPrompt, read_safety_set
from service.evaluations.scoring import score_export, score_trial

__all__ = [
    "EvaluatedModels",
    "EvaluationReport",
    "EvaluationRequest",
    "PreparedEvaluation",
    "ReportFiles",
    "SafetyPrompt",
    "models_of_export",
    "models_of_trial",
    "prepare_evaluation",
    "read_against",
    "read_safety_set",
    "score_export",
    "score_trial",
]
