"""The trials of a study as the front, the plots and the exports read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.studies.trial_cost import cost_of
from workers.evaluation import Evaluation

# How many trials stand in for landmarks where there are none.
N_STAND_INS = 10
# How much worse than the worst landmark the reference point lies, as a share of the landmarks' range.
_REFERENCE_MARGIN = 0.1


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """One evaluated candidate, or one that failed.

    Args:
        number: of the trial.
        params: its coefficients.
        values: by objective, in the study's order; empty after a failure.
        standard_errors: of the values; None where there is none.
        landmark: the landmark's name, or "".
        make_s: seconds to make it.
        score_s: seconds to score it.
        failure: the reason, or "".
        share: of the objectives' examples, how many were scored; below 1 where a race was stopped, and its values are
            estimates.
        cost: in evaluation-equivalents.
        gradient_failure: why it has no gradients although they were asked for, or ""; its values are valid.
    """

    number: int
    params: Mapping[str, float]
    values: tuple[float, ...]
    standard_errors: tuple[float | None, ...]
    landmark: str
    make_s: float
    score_s: float
    failure: str
    share: float = 1.0
    cost: float = 1.0
    gradient_failure: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it has values."""
        return bool(self.values)

    @property
    def was_stopped(self) -> bool:
        """Whether it lost a race: its values are estimates, which another trial dominates."""
        return self.share < 1.0

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.landmark or f"trial {self.number}"


def attributes_of(evaluation: Evaluation, objectives: Sequence[str]) -> dict[str, Any]:
    """What is stored with a trial beside its values."""
    attributes: dict[str, Any] = {"make_s": round(evaluation.make_s, 6), "score_s": round(evaluation.score_s, 6)}
    if evaluation.gradient_failure:
        attributes["gradient_failure"] = evaluation.gradient_failure
    if evaluation.failure is not None:
        return attributes | {"failure": str(evaluation.failure), "failure_message": evaluation.message}
    scores = [evaluation.scores[objective] for objective in objectives]
    if not evaluation.is_whole:
        attributes["share"] = evaluation.share
    return attributes | {"standard_errors": [s.standard_error for s in scores], "n_examples": [s.n for s in scores]}


def read_finished(trials: Iterable[FrozenTrial]) -> list[FinishedTrial]:
    """The complete and the failed ones, by number."""
    return [read_finished_trial(trial) for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.FAIL)]


def read_finished_trial(trial: FrozenTrial) -> FinishedTrial:
    """One that is complete or failed."""
    values = tuple(trial.values) if trial.state == TrialState.COMPLETE else ()
    return finished_trial(trial.number, trial.params, values, trial.user_attrs, cost_of(trial.system_attrs))


def finished_trial(
    number: int,
    params: Mapping[str, float],
    values: tuple[float, ...],
    attributes: Mapping[str, Any],
    cost: float = 1.0,
) -> FinishedTrial:
    """A trial from what is stored of it; see `attributes_of`."""
    return FinishedTrial(
        number=number,
        params=params,
        values=values,
        standard_errors=tuple(attributes.get("standard_errors", [None] * len(values))),
        landmark=attributes.get("landmark", ""),
        make_s=attributes.get("make_s", 0.0),
        score_s=attributes.get("score_s", 0.0),
        failure=attributes.get("failure", "" if values else "unknown"),
        share=attributes.get("share", 1.0),
        cost=cost,
        gradient_failure=attributes.get("gradient_failure", ""),
    )


def spent_evaluations(trials: Iterable[FinishedTrial]) -> float:
    """What trials cost together, in evaluation-equivalents."""
    return sum(trial.cost for trial in trials)


def saved_evaluations(trials: Iterable[FinishedTrial]) -> float:
    """How many whole evaluations racing has saved: what was not scored of the candidates that it stopped."""
    return sum(1.0 - trial.share for trial in trials)


def reference_point(trials: Sequence[FinishedTrial], n_objectives: int) -> tuple[float, ...]:
    """Where hypervolume is measured from: a tenth of the landmarks' range below the worst of them.

    Landmarks are evaluated first and never change, so that the point stands still while a search
    runs. Where there is none, the first trials stand in for them.
    """
    succeeded = [trial for trial in trials if trial.succeeded]
    landmarks = [trial.values for trial in succeeded if trial.landmark]
    known = landmarks or [trial.values for trial in succeeded[:N_STAND_INS]]
    if not known:
        return (0.0,) * n_objectives
    return reference_below(known)


def reference_below(values: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The reference point of landmarks, or of trials that stand in for them, `n_points x n_objectives`; not empty."""
    columns = list(zip(*values, strict=True))
    return tuple(min(column) - _REFERENCE_MARGIN * ((max(column) - min(column)) or 1.0) for column in columns)
