"""Derivatives with respect to a recipe's coefficients, as those with respect to a trial's parameters."""

from __future__ import annotations

from collections.abc import Container

from search_spaces.merge_recipe import Coefficients


def parameter_gradients(gradients: Coefficients, names: Container[str]) -> dict[str, float]:
    """Trial parameter → derivative; what is fixed is left out, since no search can follow it.

    Args:
        gradients: owner → group → parameter → derivative.
        names: of the parameters that are searched, `owner/group/parameter`.
    """
    named = {
        f"{owner}/{group}/{parameter}": value
        for owner, groups in gradients.items()
        for group, values in groups.items()
        for parameter, value in values.items()
    }
    return {name: value for name, value in named.items() if name in names}
