"""A mergekit recipe in a file: its merge, of models that can be read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe, from_mergekit
from search_spaces.errors import IncompatibleModelsError, RecipeError
from search_spaces.merge_recipe import BASE
from search_spaces.mergekit_format import listed_models, parse_configuration
from service.mergekit.configuration_text import read_configuration
from service.mergekit.model_notation import located
from workers.checkpoints.compatibility import check_compatible
from workers.checkpoints.header import CheckpointHeader
from workers.checkpoints.model_files import pinned, read_model_header
from workers.checkpoints.vocabulary import UNION, aligned_headers


@dataclass(frozen=True)
class RecipeFile:
    """A recipe, and its models.

    Args:
        path: of the file.
        text: its content.
        notations: a model as the file names it → `ModelReference.notation`, with its commit; the base first.
        own_headers: notation → header.
    """

    path: Path
    text: str
    notations: Mapping[str, str]
    own_headers: Mapping[str, CheckpointHeader]

    @classmethod
    def read(cls, path: Path, text: str | None = None) -> RecipeFile:
        """Read a file, and its models' headers.

        Args:
            path: of the file.
            text: its content, where that is known.

        Raises:
            RecipeError: it cannot be read, or is no mergekit recipe of a method that is known here.
            CheckpointError: a model is not there.
        """
        text = read_configuration(path) if text is None else text
        notations, headers = {}, {}
        for named in listed_models(text):
            notation = located(named, path)
            header = read_model_header(notation)
            notations[named] = pinned(notation, header)
            headers[notations[named]] = header
        return cls(path, text, notations, headers)

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The recipe's keys, as they are written."""
        return parse_configuration(self.text)

    @property
    def base(self) -> CheckpointHeader:
        """Of the model that lends its configuration."""
        return next(iter(self.own_headers.values()))

    def recipe(self, granularity: str | None = None) -> MergeRecipe:
        """The merge; without a dtype of its own it has the base's.

        Raises:
            RecipeError: see `from_mergekit`; or tokens of a model that is not merged.
            IncompatibleModelsError: the models do not fit together.
        """
        found = from_mergekit(self.text, self.base.merged_names, granularity)
        experts = {name: self.notations[named] for name, named in found.experts.items()}
        placed = replace(found, base=self.notations[found.base], experts=experts, dtype=self._dtype)
        return replace(placed, tokenizer_source=self._needed_tokenizer(placed))

    def headers(self, recipe: MergeRecipe) -> dict[str, CheckpointHeader]:
        """Model of the recipe → header, with the rows of the merge; all fit together.

        Raises:
            CheckpointError: a model does not fit the base, or has no tokenizer to be aligned by.
        """
        own = {name: self.own_headers[notation] for name, notation in recipe.folders.items()}
        found = aligned_headers(own, recipe.tokenizer_source)
        check_compatible(found[BASE], {name: header for name, header in found.items() if name != BASE})
        return found

    @property
    def notes(self) -> list[str]:
        """What the file says and a merge here does not follow, or follows otherwise."""
        return list(self._notes())

    def _notes(self) -> Iterator[str]:
        first, source = next(iter(self.notations)), self._tokenizer_source
        if source not in (None, BASE, first) and self.recipe().tokenizer_source is None:
            yield (
                f"`tokenizer_source: {source}` changes no row, for all models have the same tokens: a merge has the "
                f"tokenizer of its base, '{first}'."
            )
        tokenizer = self.configuration.get("tokenizer")
        if isinstance(tokenizer, dict) and (odd := sorted(tokenizer.keys() - {"source"})):
            yield f"`tokenizer`: {', '.join(odd)} is not followed: rows are given as by `tokenizer_source` alone."
        template = self.configuration.get("chat_template")
        if template is not None:
            yield f"`chat_template: {template}` is not followed: a merge has that of its tokenizer."

    @property
    def _tokenizer_source(self) -> str | None:
        tokenizer = self.configuration.get("tokenizer")
        source = self.configuration.get("tokenizer_source")
        if source is None and isinstance(tokenizer, dict):
            source = tokenizer.get("source")
        return None if source is None else str(source)

    def _needed_tokenizer(self, recipe: MergeRecipe) -> str | None:
        """Whose tokens the merge has, where the models' differ and the file says."""
        source = self._tokenizer_source
        if source is None:
            return None
        try:
            self.headers(recipe)
        except IncompatibleModelsError:
            return self._tokenizer_owner(recipe, source)
        return None

    def _tokenizer_owner(self, recipe: MergeRecipe, source: str) -> str:
        if source in (BASE, UNION):
            return source
        notation = self.notations.get(source)
        found = [name for name, own in recipe.folders.items() if own == notation]
        if not found:
            raise RecipeError(f"`tokenizer_source` must be base, union or a model of the merge, but got '{source}'.")
        return found[0]

    @property
    def _dtype(self) -> str:
        given = self.configuration.get("out_dtype") or self.configuration.get("dtype")
        own = self.base.config.get("dtype") or self.base.config.get("torch_dtype") or "bfloat16"
        return str(given or own)
