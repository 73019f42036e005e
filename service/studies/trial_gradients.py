"""A trial's gradients as the study keeps them: what was asked of its worker, and what came back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from search_spaces.parameter_gradients import parameter_gradients
from service.studies.trial_cost import REQUEST
from workers.evaluation import Evaluation, GradientRequest

# Of a trial: objective → its parameter's name → derivative of the score.
GRADIENTS = "paretomerge:gradients"
# A derivative over a part of a set is known to fewer; and there may be hundreds in each of thousands of trials.
_DIGITS = 7


def request_of(system_attributes: Mapping[str, Any], measures: Sequence[str], number: int) -> GradientRequest | None:
    """What a trial's worker is asked for; None for a plain trial.

    Args:
        system_attributes: of the trial, as its sampler has marked it.
        measures: those that can be differentiated.
        number: of the trial, by which the examples of a part are drawn.
    """
    asked = system_attributes.get(REQUEST)
    return None if asked is None else GradientRequest(tuple(measures), float(asked.get("share", 1.0)), number)


def stored_gradients(evaluation: Evaluation, names: Collection[str]) -> dict[str, dict[str, float]]:
    """Objective → trial parameter → derivative.

    Args:
        evaluation: of the trial.
        names: of the parameters that are searched.
    """
    return {
        measure: {name: float(f"{value:.{_DIGITS}g}") for name, value in parameter_gradients(found, names).items()}
        for measure, found in evaluation.gradients.items()
    }
