"""What a specification may name here."""

from __future__ import annotations

from itertools import count
from typing import Any

import yaml
from fastapi import APIRouter

from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import GRANULARITIES
from service.access.listing import models_below, sets_below
from service.api.context import Context, ServiceContext
from service.api.schemas import Choices, MethodChoice, ScorerChoice
from service.demo import demo_specification
from workers.scorers import SCORERS

router = APIRouter(tags=["choices"])

# As `paretomerge demo` has it, with the workers of a small machine.
_DEMO_EVALUATIONS, _DEMO_WORKERS = 240, 2


@router.get("/v1/choices", operation_id="getChoices", summary="What a specification may name here")
def get_choices(context: Context) -> Choices:
    """Methods, scorers, samplers, and the models and sets below the roots."""
    from service.samplers import SAMPLERS

    return Choices(
        methods=_methods(),
        granularities=GRANULARITIES,
        scorers=tuple(
            ScorerChoice(name=name, required_fields=tuple(scorer.required_fields), needs_set=not scorer.brings_examples)
            for name, scorer in SCORERS.items()
        ),
        samplers=("auto", *SAMPLERS),
        models=tuple(models_below(context.reach.roots)),
        sets=tuple(sets_below(context.reach.roots)),
        demo=_demo(context),
    )


def _methods() -> tuple[MethodChoice, ...]:
    return tuple(
        MethodChoice(name=name, parameters={each.name: each.usual_bounds for each in signature.all_parameters})
        for name, signature in METHOD_SIGNATURES.items()
    )


def _demo(context: ServiceContext) -> dict[str, Any]:
    taken = {row.name for row in context.searches.all()}
    names = ("demo" if number == 1 else f"demo-{number}" for number in count(1))
    name = next(name for name in names if name not in taken)
    values: dict[str, Any] = yaml.safe_load(demo_specification(name, _DEMO_EVALUATIONS, _DEMO_WORKERS))
    return values
