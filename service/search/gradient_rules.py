"""Whether a search can follow gradients: what of it has any, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping

from search_spaces import METHOD_SIGNATURES, SearchSpace
from search_spaces.errors import SpecificationError
from service.samplers import SAMPLERS, GradientSearch
from service.specification import Specification
from workers.candidate_worker import Measure
from workers.scorers import SCORERS

_NAME = GradientSearch.name


def differentiable_objectives(specification: Specification, space: SearchSpace) -> tuple[str, ...]:
    """The objectives whose gradients with respect to a trial's parameters can be had; none where a part hinders all.

    One is enough to be followed: the others are scored in every trial.
    """
    if _hindrance(specification, space):
        return ()
    return _with_gradients(specification)


def check_gradient_search(
    specification: Specification, space: SearchSpace, measures: Mapping[str, Measure], sampler: str
) -> None:
    """Refuse gradients that cannot be had.

    Args:
        specification: of the search.
        space: of the same.
        measures: name → scorer and examples.
        sampler: that the search gets.

    Raises:
        SpecificationError: the key, what hinders, and what to change.
    """
    share = specification.search.gradient_share
    if sampler != _NAME:
        _check_share_is_not_given(specification, sampler)
        return
    if hindrance := _hindrance(specification, space):
        raise SpecificationError(f"`search.sampler: {_NAME}` {hindrance}, or another sampler: {_other_samplers()}.")
    for name in _with_gradients(specification):
        _check_share(share, f"objectives.{name}.set", len(measures[name].examples))


def _hindrance(specification: Specification, space: SearchSpace) -> str:
    """Why no gradient can be had, and what would mend it; "" where one can."""
    if specification.workers.engine != "transformers":
        return f"needs `workers.engine: transformers`, but got '{specification.workers.engine}'. Use transformers"
    if not space.signature.differentiable:
        methods = ", ".join(name for name, signature in METHOD_SIGNATURES.items() if signature.differentiable)
        return (
            "needs a method that is differentiable in its coefficients, but `space.method` is "
            f"'{space.signature.name}'. Use one of {methods}"
        )
    if not space.differentiable_parameters:
        names = " or ".join(f"`{name}`" for name in space.signature.differentiable_parameters)
        return f"needs {names} to be searched, but `space` fixes it everywhere. Give it bounds, [low, high]"
    if not _with_gradients(specification):
        scorers = ", ".join(name for name, scorer in SCORERS.items() if scorer.differentiable)
        given = ", ".join(f"`objectives.{name}` '{each.scorer}'" for name, each in specification.objectives.items())
        return f"needs an objective with a differentiable scorer, but got {given}. Use one of {scorers}"
    return ""


def _with_gradients(specification: Specification) -> tuple[str, ...]:
    objectives = specification.objectives.items()
    return tuple(name for name, section in objectives if SCORERS[section.scorer].differentiable)


def _check_share_is_not_given(specification: Specification, sampler: str) -> None:
    share, asked_for = specification.search.gradient_share, specification.search.sampler
    if share != 1.0:
        chosen = f"'{sampler}'" if asked_for == sampler else f"'{asked_for}', which chooses '{sampler}' here"
        raise SpecificationError(
            f"`search.gradient_share` needs `search.sampler: {_NAME}`, but got {share:g} with {chosen}. Leave it out, "
            "or choose that sampler."
        )


def _check_share(share: float, key: str, n_examples: int) -> None:
    if int(share * n_examples) == 0:
        raise SpecificationError(
            f"`search.gradient_share` must leave examples to differentiate, but {share:g} leaves no example of "
            f"`{key}`, which has {n_examples}: it must be at least {least_share(n_examples):g}."
        )


def least_share(n_examples: int) -> float:
    """The least share, in as few digits as say it, of which one example is left."""
    scale = 10.0 ** (len(str(n_examples)) + 2)
    return math.ceil(scale / n_examples) / scale


def _other_samplers() -> str:
    return ", ".join(("auto", *(name for name in SAMPLERS if name != _NAME)))
