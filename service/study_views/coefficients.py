"""A trial's coefficients as a table: every parameter of every model and group, fixed ones included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from search_spaces.errors import UserError
from search_spaces.merge_recipe import BASE, owners
from search_spaces.method_signature import MethodParameter, MethodSignature
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import group_parameters
from service.search.space_options import bounds_rules
from service.specification import Specification
from service.study_views.study_view import StudyView
from workers.checkpoints.model_files import read_model_header


class CoefficientTable:
    """The tables of one study's trials.

    Where the base model cannot be read any more, a group in which nothing is searched is left out: only a model's
    tensors tell of it.

    Args:
        view: of the study.
    """

    def __init__(self, view: StudyView) -> None:
        specification = Specification.model_validate_json(json.dumps(dict(view.specification)))
        space = specification.space
        self._signature: MethodSignature = METHOD_SIGNATURES[space.method]
        self._owners = owners(self._signature, tuple(specification.models.experts))
        self._rules = bounds_rules(space)
        try:
            self._groups = _groups(view.line, specification.models.notations[BASE], space.granularity)
        except (UserError, OSError):
            self._groups = ()

    def of(self, params: Mapping[str, float]) -> dict[str, Any]:
        """`schemas.Coefficients` of a trial: `models`, `groups`, and parameter → `n_models x n_groups`."""
        groups = self._groups or _groups_named(params)
        values = {
            parameter.name: [
                [self._value(params, owner, group, parameter) for group in groups] for owner in self._owners
            ]
            for parameter in self._signature.all_parameters
        }
        return {"models": list(self._owners), "groups": list(groups), "values": values}

    def _value(self, params: Mapping[str, float], owner: str, group: str, parameter: MethodParameter) -> float | None:
        """What was tried, or the one value that the space leaves: the last rule decides, as in `SearchSpace`."""
        if parameter not in self._signature.parameters_of(owner):
            return None
        low = parameter.usual_bounds[0]
        for rule in self._rules:
            if rule.applies(owner, group):
                low = rule.bounds.get(parameter.name, (low, low))[0]
        return float(params.get(f"{owner}/{group}/{parameter.name}", low))


@lru_cache(maxsize=64)
def _groups(_line: str, base: str, granularity: str) -> tuple[str, ...]:
    """The groups of the base model's tensors; what cannot be read is tried again the next time."""
    return tuple(group_parameters(read_model_header(base, offline=True).merged_names, granularity))


def _groups_named(params: Iterable[str]) -> tuple[str, ...]:
    """The groups that parameters speak of, in the order of the space: each model's are in it, with gaps of its own."""
    merged: list[str] = []
    place, last_model = 0, ""
    for model, _, rest in (name.partition("/") for name in params):
        group = rest.rpartition("/")[0]
        place = place if model == last_model else 0
        last_model = model
        if group not in merged:
            merged.insert(place, group)
        place = merged.index(group) + 1
    return tuple(merged)
