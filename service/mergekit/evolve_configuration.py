"""What a configuration of mergekit-evolve says, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import RecipeError
from search_spaces.mergekit_format.checked_values import as_mapping, as_number, as_sequence, as_switch
from search_spaces.method_signatures import METHOD_SIGNATURES

_GENOME_KEYS = (
    "models",
    "merge_method",
    "base_model",
    "tokenizer_source",
    "layer_granularity",
    "normalize",
    "allow_negative_weights",
    "filters",
    "smooth",
)
_KEYS = ("genome", "tasks", "limit", "num_fewshot", "shuffle", "random_init", "apply_chat_template")
_KNOWN = (*_KEYS, "fewshot_as_multiturn")
# As `genome` has it where it does not say.
_NORMALIZED = ("ties", "dare_ties", "linear")


@dataclass(frozen=True, slots=True)
class Genome:
    """What is evolved.

    Args:
        models: folders or hub ids, each once.
        method: a name in `METHOD_SIGNATURES`.
        base_model: folder or hub id, or None.
        tokenizer_source: as it is written.
        layer_granularity: consecutive layers that share their numbers; 0 for all.
        normalize: divide weights by their sum.
        allow_negative_weights: else their absolute values are taken.
        filters: substrings of tensor names, each with numbers of its own, and one more for the rest.
        smooth: interpolate over the layers between the groups' numbers.
    """

    models: tuple[str, ...]
    method: str
    base_model: str | None
    tokenizer_source: str | None
    layer_granularity: int
    normalize: bool
    allow_negative_weights: bool
    filters: tuple[str, ...]
    smooth: bool

    @classmethod
    def of(cls, given: Any) -> Genome:
        """Read the section.

        Raises:
            RecipeError: an unknown key or method, or a value that cannot be.
        """
        genome = as_mapping(given, "genome", _GENOME_KEYS)
        method = str(genome.get("merge_method"))
        if method not in METHOD_SIGNATURES:
            raise RecipeError(
                f"`genome.merge_method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{method}'."
            )
        models = [_text(model, "genome.models") for model in as_sequence(genome.get("models"), "genome.models")]
        if len(set(models)) < len(models):
            raise RecipeError(f"`genome.models` must name each model once, but got {', '.join(models)}.")
        base, source, normalize = (genome.get(key) for key in ("base_model", "tokenizer_source", "normalize"))
        filters = genome.get("filters")
        return cls(
            models=tuple(models),
            method=method,
            base_model=None if base is None else _text(base, "genome.base_model"),
            tokenizer_source=None if source is None else str(source),
            layer_granularity=max(0, _whole(genome, "layer_granularity", 0) or 0),
            normalize=as_switch({"normalize": normalize}, "normalize", default=False)
            if normalize is not None
            else method in _NORMALIZED,
            allow_negative_weights=as_switch(genome, "allow_negative_weights", default=False),
            filters=tuple(_text(each, "filters") for each in as_sequence(filters, "filters")) if filters else (),
            smooth=as_switch(genome, "smooth", default=False),
        )


@dataclass(frozen=True, slots=True)
class EvolvedTask:
    """A task of lm-evaluation-harness.

    Args:
        name: of it.
        weight: in the sum that evolution maximises.
        metric: `metric,filter`.
    """

    name: str
    weight: float = 1.0
    metric: str = "acc,none"

    @classmethod
    def of(cls, given: Any) -> EvolvedTask:
        """Read one entry of `tasks`: a name, or a mapping.

        Raises:
            RecipeError: it is neither, or has an unknown key.
        """
        if isinstance(given, str):
            return cls(given)
        task = as_mapping(given, "tasks", ("name", "weight", "metric"))
        weight = as_number(task.get("weight", 1.0), "weight")
        return cls(_text(task.get("name"), "name"), weight, _text(task.get("metric", "acc,none"), "metric"))


@dataclass(frozen=True, slots=True)
class EvolveConfiguration:
    """A whole configuration.

    Args:
        genome: what is evolved.
        tasks: for what.
        limit: examples of each task; None for all.
        num_fewshot: None leaves the tasks' own.
        switches: `shuffle`, `random_init`, `apply_chat_template` and `fewshot_as_multiturn`.
        unknown: further keys, of which mergekit-evolve takes no notice.
    """

    genome: Genome
    tasks: tuple[EvolvedTask, ...]
    limit: int | None
    num_fewshot: int | None
    switches: Mapping[str, bool]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> EvolveConfiguration:
        """Read a document.

        Raises:
            RecipeError: see `Genome.of` and `EvolvedTask.of`.
        """
        defaults = {"shuffle": False, "random_init": False, "apply_chat_template": True, "fewshot_as_multiturn": True}
        return cls(
            genome=Genome.of(config["genome"]),
            tasks=tuple(EvolvedTask.of(task) for task in as_sequence(config.get("tasks"), "tasks")),
            limit=_whole(config, "limit", None),
            num_fewshot=_whole(config, "num_fewshot", None),
            switches={key: as_switch(config, key, default) for key, default in defaults.items()},
            unknown=tuple(str(key) for key in config if key not in _KNOWN),
        )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise RecipeError(f"`{what}` must be text, but got {value!r}.")
    return value


def _whole(values: Mapping[str, Any], key: str, default: int | None) -> int | None:
    value = values.get(key, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise RecipeError(f"`{key}` must be a whole number, but got {value!r}.")
    return value
