"""Where a merge comes from, for people: the model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from search_spaces import MergeRecipe
from search_spaces.model_reference import is_hub_id
from service.exports.export_request import ExportRequest
from service.search.preparation import PreparedSearch
from workers.checkpoints.model_files import reference_of
from workers.evaluation import Score


def model_card(name: str, prepared: PreparedSearch, request: ExportRequest, scores: Mapping[str, Score]) -> str:
    """Markdown with the Hub's metadata: models, scores with errors, the trade-off, how to load it."""
    parts = (
        f"---\n{_metadata(prepared)}---\n",
        f"# {name}\n",
        f"A merge of {_models(prepared)}, selected from the Pareto front of {_and(prepared.objectives)} by "
        f"paretomerge: {request.trial.label} of the search "
        f"`{prepared.specification.name}`, method `{prepared.space.options.method}`, "
        f"granularity `{prepared.space.options.granularity}`.\n",
        "## Scores\n",
        _table(("measure", "scorer", "value", "standard error", "examples"), _score_rows(prepared, scores)),
        "Measures that end in `@holdout` were taken on examples that the search did not see. Higher is better.\n",
        "## The trade-off\n",
        _table(("candidate", *prepared.objectives), _trade_off(request)),
        _use(name),
        "`recipe.yaml` is the merge as `mergekit-yaml` runs it; `provenance.json` holds the SHA-256 of every input, "
        "the versions, the seed and all coefficients.\n",
        "## Limits\n",
        "The scores say how this merge does on these sets, and no more: a merge that refuses what they ask may still "
        "be unsafe. Evaluate it for your use before you release it.\n",
    )
    return "\n".join(parts)


def recipe_card(name: str, recipe: MergeRecipe) -> str:
    """The card of a merge that no search found, and that nobody has scored."""
    models = _base_models(recipe.folders.values())
    parts = (
        f"---\n{_yaml(recipe.method, models)}---\n",
        f"# {name}\n",
        f"A merge of {_and([f'`{model}`' for model in models])} by paretomerge, method `{recipe.method}`.\n",
        _use(name),
        "`recipe.yaml` is the merge as `mergekit-yaml` runs it; `provenance.json` holds the SHA-256 of every input, "
        "the versions, the seed and all coefficients.\n",
        "## Limits\n",
        "Nothing was measured: evaluate it for your use before you release it.\n",
    )
    return "\n".join(parts)


def _use(name: str) -> str:
    return (
        "## Use\n\n"
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")\n```\n'
    )


def _metadata(prepared: PreparedSearch) -> str:
    return _yaml(prepared.space.options.method, _base_models(prepared.models.values()))


def _yaml(method: str, base_models: Sequence[str]) -> str:
    values = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["merge", "paretomerge", method],
        "base_model": list(base_models),
    }
    return str(yaml.safe_dump(values, sort_keys=False))


def _base_models(notations: Iterable[str]) -> list[str]:
    """As the Hub takes them: ids where there are any, an adapter beside its model."""
    references = [reference_of(text) for text in notations]
    parts = [part for reference in references for part in (reference.model, reference.adapter) if part]
    return list(dict.fromkeys(part if is_hub_id(part) else Path(part).name for part in parts))


def _models(prepared: PreparedSearch) -> str:
    experts = [f"`{name}`" for name in prepared.space.experts]
    return f"the base model `{reference_of(prepared.space.base).label}` and {_and(experts)}"


def _score_rows(prepared: PreparedSearch, scores: Mapping[str, Score]) -> Iterable[Sequence[str]]:
    for name, score in scores.items():
        error = "" if score.standard_error is None else f"{score.standard_error:.4f}"
        yield name, prepared.measures[name].scorer, f"{score.value:.4f}", error, str(score.n)


def _trade_off(request: ExportRequest) -> Iterable[Sequence[str]]:
    for trial in request.landmarks:
        yield trial.label, *(f"{value:.4f}" for value in trial.values)
    yield f"**this merge ({request.trial.label})**", *(f"**{value:.4f}**" for value in request.trial.values)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
