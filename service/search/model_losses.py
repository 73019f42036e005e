"""How each model of a search does alone, by its loss on the answers of the search's own examples; and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from statistics import fmean

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.recipe_sources import average_recipe
from service.search.preparation import PreparedSearch, open_pool
from workers.candidate_worker import Measure
from workers.evaluation import Assignment
from workers.scorers import SCORERS
from workers.scorers.answer_likelihood import AnswerLikelihoodScorer
from workers.worker_pools import WorkerPool


def answer_sets(prepared: PreparedSearch, n_examples: int | None = None) -> dict[str, Measure]:
    """The likelihood of the answers in the sets of a search's objectives, on examples that the search sees.

    Args:
        prepared: the search.
        n_examples: of each set, the first; None for all.

    Returns:
        Set → measure. A set of several objectives comes once, one without answers not at all.

    Raises:
        SpecificationError: no set has answers.
    """
    found = {}
    for name, section in prepared.specification.objectives.items():
        examples = prepared.measures[name].examples
        if section.set is not None and all(example.answer for example in examples):
            found[section.set] = Measure(AnswerLikelihoodScorer.name, examples[:n_examples])
    if not found:
        with_answers = [name for name, scorer in SCORERS.items() if "answer" in scorer.required_fields]
        raise SpecificationError(
            "`objectives` must have a set with an `answer` in every example, by which models alone are compared, but "
            f"none has. Scorers of such sets are {', '.join(with_answers)}."
        )
    return found


def model_losses(
    prepared: PreparedSearch,
    models: Iterable[str],
    measures: dict[str, Measure],
    tell: Callable[[str], object] = lambda _: None,
) -> dict[str, float]:
    """Score models alone, as candidates of the search's workers.

    Args:
        prepared: the search.
        models: their names.
        measures: see `answer_sets`.
        tell: told of each model's name before it is scored.

    Returns:
        Model → mean cross entropy per answer token, over the examples of all sets together.

    Raises:
        PoolError: the worker does not start, or is lost.
        CandidateError: a model could not be scored.
    """
    setup = replace(prepared.worker_setup(), measures=measures)
    found = {}
    with open_pool(setup, prepared.specification.workers.model_copy(update={"count": 1})) as pool:
        for model in models:
            tell(model)
            found[model] = _loss(prepared, model, tuple(measures), pool)
    return found


def average_of(prepared: PreparedSearch, weights: Mapping[str, float]) -> MergeRecipe:
    """An average of the search's models, whatever its method is; see `average_recipe`."""
    names, options = prepared.headers[BASE].merged_names, prepared.space.options
    recipe = average_recipe(prepared.models, names, weights, options.dtype)
    return replace(recipe, tokenizer_source=options.tokenizer_source)


def _loss(prepared: PreparedSearch, model: str, measures: tuple[str, ...], pool: WorkerPool) -> float:
    evaluation = pool.evaluate(Assignment(average_of(prepared, {model: 1.0}), measures))
    if evaluation.failure is not None:
        raise CandidateError(
            evaluation.failure,
            f"'{model}' must be made and scored, but it failed ({evaluation.failure}): {evaluation.message}",
        )
    return -fmean(chain.from_iterable(score.per_example for score in evaluation.scores.values()))
