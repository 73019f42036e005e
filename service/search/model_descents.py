"""Recipes from descents that need no labels: AdaMerging and Expert Merging over a search's models and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from search_spaces.landmarks import fill_coefficients
from service.search.preparation import PreparedSearch

if TYPE_CHECKING:
    from workers.candidate_worker import CandidateWorker
    from workers.coefficient_descents import Descent

# Where all three papers begin.
START = 0.3


@dataclass(frozen=True, slots=True)
class DescentRequest:
    """What is asked for.

    Args:
        by: a name in `DESCENTS`.
        n_prompts: of each set, the first of the search's examples.
        n_steps: of the optimiser.
        learning_rate: of the optimiser.
        teachers: expert → the objective whose prompts are its own; empty where sets and experts are as many, and in
            the same order.
    """

    by: str
    n_prompts: int = 8
    n_steps: int = 50
    learning_rate: float = 1e-2
    teachers: Mapping[str, str] | None = None


def descend(prepared: PreparedSearch, request: DescentRequest) -> Descent:
    """Start one worker in this process, and descend.

    Raises:
        SpecificationError: an unknown descent, or prompts whose expert is not known.
        RecipeError: the method is not differentiable.
        CandidateError: the loss or its gradient is not finite.
    """
    if request.by not in DESCENTS:
        raise SpecificationError(f"`--by` must be one of {', '.join(DESCENTS)}, but got '{request.by}'.")
    owners = prompt_owners(prepared, request.teachers)
    start = start_recipe(prepared)
    from workers.candidate_worker import CandidateWorker

    worker = CandidateWorker(prepared.worker_setup())
    found: Descent = DESCENTS[request.by](_Descending(prepared, request, worker, owners), start)
    return found


def start_recipe(prepared: PreparedSearch) -> MergeRecipe:
    """Every model at `START`, or as near as the bounds allow; all else as a landmark has it.

    Raises:
        RecipeError: the method's numbers do not say how much of a model is merged.
    """
    plain, leading = prepared.space.unweighed(), prepared.space.signature.leading
    if leading is None:
        from workers.merge_methods import MERGE_METHODS

        raise MERGE_METHODS[plain.method].not_differentiable

    def values(owner: str, group: str) -> dict[str, float]:
        found = dict(plain.values(owner, group))
        if owner in plain.weighed_models:
            found[leading.name] = START
        return found

    return replace(plain, coefficients=fill_coefficients(prepared.space.owners, prepared.space.groups, values))


def prompt_owners(prepared: PreparedSearch, teachers: Mapping[str, str] | None) -> dict[str, str]:
    """Expert → the objective whose prompts are its own.

    Raises:
        SpecificationError: that cannot be told, or names what is not there.
    """
    experts, objectives = tuple(prepared.space.experts), tuple(_first_of_each_set(prepared))
    found = dict(teachers or zip(experts, objectives, strict=False))
    if set(found) != set(experts) or (not teachers and len(experts) != len(objectives)):
        raise SpecificationError(
            f"`--teacher` must say for each of {', '.join(experts)} which objective's prompts are its own, as in "
            f"EXPERT=OBJECTIVE, for there are {len(objectives)} sets: {', '.join(objectives)}."
        )
    for expert, objective in found.items():
        if objective not in prepared.objectives:
            raise SpecificationError(
                f"`--teacher` must name one of {', '.join(prepared.objectives)}, but got '{objective}' for '{expert}'."
            )
    return {expert: found[expert] for expert in experts}


def _first_of_each_set(prepared: PreparedSearch) -> list[str]:
    """Objectives, without those over the set of an earlier one or over none."""
    sections = prepared.specification.objectives.items()
    first_of = {section.set: name for name, section in reversed(list(sections))}
    return [name for name, section in sections if section.set is not None and first_of[section.set] == name]


class _Descending:
    """A worker, and the prompts that it descends on."""

    def __init__(
        self, prepared: PreparedSearch, request: DescentRequest, worker: CandidateWorker, owners: Mapping[str, str]
    ) -> None:
        from workers.coefficient_descents import DescentOptions, prompt_only

        self.engine, self.candidate = worker.engine, worker.candidate
        engine, n = worker.engine, request.n_prompts
        self.prompts = {
            expert: [
                prompt_only(engine.prompt_ids(e.prompt), engine.end_id) for e in _examples(prepared, objective)[:n]
            ]
            for expert, objective in owners.items()
        }
        self.options = DescentOptions(request.n_steps, request.learning_rate, _bounds(prepared))
        self.evaluation_tokens = sum(
            len(engine.tokenize(example.prompt, text))
            for objective in prepared.objectives
            for example in _examples(prepared, objective)
            for text in (example.answer, example.rejected)
            if text
        )

    @property
    def pairs(self) -> list[Any]:
        """Of all experts."""
        return [pair for pairs in self.prompts.values() for pair in pairs]


def _examples(prepared: PreparedSearch, objective: str) -> tuple[Any, ...]:
    return prepared.measures[objective].examples


def _bounds(prepared: PreparedSearch) -> tuple[float, float]:
    """Of the leading parameter: the widest of those that are searched."""
    leading = prepared.space.signature.leading
    found = [d for name, d in prepared.space.distributions().items() if leading and name.endswith(f"/{leading.name}")]
    if not found:
        raise SpecificationError("`space` must leave the weights something to descend on, but fixes all of them.")
    return min(float(d.low) for d in found), max(float(d.high) for d in found)  # type: ignore[attr-defined]


def _ada_merging(on: _Descending, start: MergeRecipe) -> Descent:
    from workers.coefficient_descents import AdaMerging

    return AdaMerging(on.engine, on.candidate, on.pairs, on.options).descend(start, on.evaluation_tokens)


def _expert_merging(on: _Descending, start: MergeRecipe) -> Descent:
    from workers.coefficient_descents import ExpertMerging

    return ExpertMerging(on.engine, on.candidate, on.prompts, on.options).descend(start, on.evaluation_tokens)


def _expert_merging_pp(on: _Descending, start: MergeRecipe) -> Descent:
    from workers.coefficient_descents import ExpertMerging, descend_in_chunks

    return descend_in_chunks(
        ExpertMerging(on.engine, on.candidate, on.prompts, on.options), start, on.evaluation_tokens
    )


DESCENTS: Mapping[str, Callable[[_Descending, MergeRecipe], Any]] = {
    "ada_merging": _ada_merging,
    "expert_merging": _expert_merging,
    "expert_merging_pp": _expert_merging_pp,
}
