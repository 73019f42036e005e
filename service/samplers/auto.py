"""Which sampler a search gets when its specification leaves the choice."""

from __future__ import annotations

from service.samplers._base import SearchShape
from service.studies.trial_cost import gradient_cost

# CPU seconds per ask on two objectives were measured with Optuna 5.0: the GP passes 1 s at 100 trials and 13 s at
# 1000; multivariate TPE needs 0.02 s at 2 dimensions, 0.1 s at 40 and 0.4 s at 160 after 1000 trials; NSGA-II 0.01 s.
_GP_EVALUATIONS, _GP_DIMS = 60, 8
_TPE_EVALUATIONS = 1000
# One driver proposes for all workers. At 2.5 ms for each dimension, TPE keeps them busy whose evaluations take 5 s.
_TPE_NUMBERS = 2000


def choose_sampler(shape: SearchShape) -> tuple[str, str]:
    """Choose by dimensions, objectives, budget, and whether there are gradients.

    Returns:
        The sampler's name, and why, in a sentence.
    """
    given = f"{shape.n_dims} dimensions, {shape.n_objectives} objectives, {shape.evaluations} evaluations"
    cost = gradient_cost(shape.gradient_share)
    if shape.n_differentiable and cost <= shape.evaluations:
        told = f"{shape.n_differentiable} of the objectives can be differentiated in the coefficients"
        return "gradient", f"{given}: {told}, and a gradient tells more than the {cost:.3g} evaluations it costs."
    if shape.evaluations <= _GP_EVALUATIONS and shape.n_dims <= _GP_DIMS:
        return "gp", f"{given}: so few evaluations of so few numbers are worth a second of thought each."
    if shape.n_objectives > 3:
        return "nsga3", f"{given}: beyond three objectives most points are non-dominated, and directions must choose."
    if shape.evaluations <= _TPE_EVALUATIONS and shape.n_dims * shape.n_workers > _TPE_NUMBERS:
        return "nsga2", f"{given}: {shape.n_workers} workers would wait for a model of so many numbers."
    if shape.evaluations <= _TPE_EVALUATIONS:
        return (
            "tpe",
            f"{given}: up to {_TPE_EVALUATIONS} trials its model is affordable and learns faster than evolution.",
        )
    return "nsga2", f"{given}: so many trials make a model of them costlier than evolution's next generation."
