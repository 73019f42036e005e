"""A configuration of mergekit-evolve as the specification of a search."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import CheckpointError, RecipeError
from search_spaces.merge_recipe import BASE, check_number_of_models
from search_spaces.method_signature import BaseRole, MethodSignature
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import group_parameters, layer_of
from service.mergekit.evolve_configuration import EvolveConfiguration, EvolvedTask, Genome
from service.mergekit.imported import ImportedSpecification, ImportOptions, own_name
from service.mergekit.model_notation import located
from workers.checkpoints.model_files import read_model_header
from workers.checkpoints.vocabulary import UNION


def import_evolution(config: EvolveConfiguration, path: Path, options: ImportOptions) -> ImportedSpecification:
    """A search over the same models and tasks.

    Args:
        config: what is evolved, and for what.
        path: of the file.
        options: what the person adds.

    Raises:
        RecipeError: models that the method cannot merge, or layers that cannot be cut so.
    """
    return _Import(config, path, options, []).specification()


@dataclass(frozen=True, slots=True)
class _Import:
    """One import under way; what it cannot translate goes to its notes."""

    config: EvolveConfiguration
    path: Path
    options: ImportOptions
    notes: list[str]

    @property
    def genome(self) -> Genome:
        return self.config.genome

    @property
    def signature(self) -> MethodSignature:
        return METHOD_SIGNATURES[self.genome.method]

    def specification(self) -> ImportedSpecification:
        models = self._models()
        space = self._space(_tensor_names(models["base"]))
        objectives = self._objectives()
        self._note_the_rest()
        values = {"name": own_name(self.path.stem), "models": models, "space": space}
        if objectives:
            values["objectives"] = objectives
        values["search"] = {"evaluations": 100}
        return ImportedSpecification(values, tuple(self.notes))

    def _models(self) -> dict[str, Any]:
        genome = self.genome
        if genome.base_model is None and self.signature.base is BaseRole.ORIGIN:
            raise RecipeError(f"'{genome.method}' needs `genome.base_model`, but the configuration names none.")
        base, experts = genome.base_model or genome.models[0], list(genome.models)
        if base in experts and not self._merges_models_alone:
            experts.remove(base)
            reason = "is listed among the models as well" if genome.base_model else "stands first, and there is no base"
            self.notes.append(f"'{base}' {reason}: it is `models.base`, and no expert.")
        named: dict[str, str] = {}
        for expert in experts:
            named[own_name(Path(expert).name, [*named, BASE], "expert")] = self._placed(expert)
        check_number_of_models(self.signature, tuple(named))
        found: dict[str, Any] = {"base": self._placed(base), "experts": named}
        return found | self._tokenizer(base, dict(zip(experts, named, strict=True)))

    def _tokenizer(self, base: str, names: Mapping[str, str]) -> dict[str, str]:
        """Whose tokens: a model's by its name here."""
        source = self.genome.tokenizer_source
        owner = {base: BASE, BASE: BASE, UNION: UNION, **names}.get(source or BASE)
        if owner is None:
            raise RecipeError(f"`tokenizer_source` must be base, union or a model of `genome`, but got '{source}'.")
        if source is not None and owner != BASE:
            self.notes.append(f"`models.tokenizer: {owner}` is for models of differing tokens; else leave it out.")
        return {"tokenizer": owner} if source is not None and owner != BASE else {}

    @property
    def _merges_models_alone(self) -> bool:
        """Whether the base has no part in the arithmetic."""
        role = self.signature.base
        return role is BaseRole.ABSENT or (role is BaseRole.OPTIONAL_ORIGIN and self.genome.base_model is None)

    def _placed(self, model: str) -> str:
        try:
            return located(model, self.path)
        except CheckpointError:
            self.notes.append(f"'{model}' is no folder here: name its folder under `models`.")
            return model

    def _space(self, tensor_names: tuple[str, ...]) -> dict[str, Any]:
        genome, signature = self.genome, self.signature
        found: dict[str, Any] = {"method": genome.method, "granularity": self._granularity(tensor_names)}
        if signature.normalize is not None and genome.normalize != signature.normalize:
            found["normalize"] = genome.normalize
        if signature.base is BaseRole.OPTIONAL_ORIGIN and self._merges_models_alone:
            found["task_vectors"] = False
        for parameter in signature.parameters:
            if parameter.searched:
                found[parameter.name] = [parameter.low, parameter.high]
        if "weight" in found:
            self._note_weights(found)
        return found

    def _note_weights(self, space: dict[str, Any]) -> None:
        weight = self.signature.parameter("weight")
        if self.genome.allow_negative_weights:
            space["weight"] = [max(-weight.high, weight.minimum), weight.high]
            if weight.minimum >= 0:
                self.notes.append(
                    f"`allow_negative_weights`: {self.genome.method} takes none here. See task_arithmetic."
                )
        self.notes.append(f"Weights have no upper bound in mergekit-evolve; here it is {weight.high:g}: see `weight`.")

    def _granularity(self, tensor_names: tuple[str, ...]) -> str:
        genome, given = self.genome, self.options.granularity
        if given:
            return given
        if genome.smooth:
            self.notes.append(
                "`smooth`: numbers that are interpolated between a few layers have no counterpart; groups of layers "
                "with numbers of their own are the nearest."
            )
        if genome.filters:
            return self._granularity_of_filters(tensor_names)
        if genome.layer_granularity == 0:
            return "model"
        self.notes.append(
            "Embeddings, final norm and head have numbers of their own here; in mergekit-evolve they have those of the "
            "first or last layers."
        )
        return "layer" if genome.layer_granularity == 1 else self._blocks(tensor_names)

    def _blocks(self, tensor_names: tuple[str, ...]) -> str:
        size = self.genome.layer_granularity
        n_layers = 1 + max((layer for layer in map(layer_of, tensor_names) if layer is not None), default=-1)
        if not n_layers:
            self.notes.append(
                f"`layer_granularity: {size}`: write `granularity: blocks:N`, with N the base's number of layers / "
                f"{size}, which could not be read."
            )
            return "blocks:N"
        if n_layers % size:
            raise RecipeError(f"`layer_granularity` must divide the base's {n_layers} layers, but is {size}.")
        return f"blocks:{n_layers // size}"

    def _granularity_of_filters(self, tensor_names: tuple[str, ...]) -> str:
        filters = self.genome.filters
        modules = group_parameters(tensor_names, "module").values()
        cut = [f for f in filters if any(len({f in name for name in members}) > 1 for members in modules)]
        found = "tensor" if cut else "module"
        self.notes.append(
            f"`filters: [{', '.join(filters)}]`: numbers for them in each group of layers are `granularity: {found}` "
            "here, which has more of them. `space.bounds` can fix some."
        )
        return found

    def _objectives(self) -> dict[str, Any]:
        found = self.options.objectives
        for task in self.config.tasks:
            if task.weight <= 0:
                self.notes.append(
                    f"The task '{task.name}' has the weight {task.weight:g} and is left out: objectives are maximised."
                )
                continue
            found[own_name(task.name, found, "task")] = {"scorer": "lm_eval", "options": self._task_options(task)}
        self.notes.append(
            "Each task is an objective of its own: the front holds the best merges for any weights. The weights "
            f"{', '.join(f'{task.name} {task.weight:g}' for task in self.config.tasks)} are not used."
        )
        return found

    def _task_options(self, task: EvolvedTask) -> dict[str, Any]:
        path = self.options.include_path
        given = {
            "tasks": [task.name],
            # lm-eval's `acc,none` is the metric before any filter.
            "metric": task.metric.removesuffix(",none"),
            "limit": self.config.limit,
            "num_fewshot": self.config.num_fewshot,
            "include_path": path and os.path.abspath(path),
            "apply_chat_template": self.config.switches["apply_chat_template"],
        }
        return {key: value for key, value in given.items() if value is not None}

    def _note_the_rest(self) -> None:
        self.notes.extend(_notes_of_switches(self.config))
        if self.config.unknown:
            self.notes.append(f"Unknown, and left out: {', '.join(f'`{key}`' for key in self.config.unknown)}.")
        if self.options.include_path is None:
            self.notes.append("Tasks of your own (`--task-search-path`) are found by `options.include_path`.")


def _notes_of_switches(config: EvolveConfiguration) -> Iterator[str]:
    given = config.switches
    if given["shuffle"]:
        yield "`shuffle`: candidates are compared on the same examples, a task's first `limit`."
    if given["random_init"]:
        yield "`random_init`: a search begins with plain merges; `search.landmarks: false` leaves them out."
    if given["apply_chat_template"] and not given["fewshot_as_multiturn"]:
        yield "`fewshot_as_multiturn: false`: with a chat template, examples before a question are turns of their own."


def _tensor_names(base: str) -> tuple[str, ...]:
    """Of the base where it can be read; else none."""
    try:
        return read_model_header(base, offline=True).merged_names
    except CheckpointError:
        return ()
