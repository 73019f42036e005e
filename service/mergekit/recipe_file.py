"""A mergekit recipe in a file: its merge, of models that lie on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe, from_mergekit
from search_spaces.merge_recipe import BASE
from search_spaces.mergekit_format import listed_models, parse_configuration
from service.mergekit.configuration_text import read_configuration
from service.mergekit.model_folders import model_folder
from workers.checkpoints.compatibility import check_compatible
from workers.checkpoints.header import CheckpointHeader, read_header

_TOKENIZER_KEYS = ("tokenizer", "tokenizer_source", "chat_template")


@dataclass(frozen=True)
class RecipeFile:
    """A recipe, and where its models are.

    Args:
        path: of the file.
        text: its content.
        folders: a model as the file names it → its folder; the base first.
    """

    path: Path
    text: str
    folders: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, text: str | None = None) -> RecipeFile:
        """Read a file and find its models.

        Args:
            path: of the file.
            text: its content, where that is known.

        Raises:
            RecipeError: it cannot be read, or is no mergekit recipe of a method that is known here.
            CheckpointError: a model is not there.
        """
        text = read_configuration(path) if text is None else text
        return cls(path, text, {named: model_folder(named, path) for named in listed_models(text)})

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The recipe's keys, as they are written."""
        return parse_configuration(self.text)

    @cached_property
    def base(self) -> CheckpointHeader:
        """Of the model that lends its configuration and tokenizer."""
        return read_header(next(iter(self.folders.values())))

    def recipe(self, granularity: str | None = None) -> MergeRecipe:
        """The merge, with the models' folders; without a dtype of its own it has the base's.

        Raises:
            RecipeError: see `from_mergekit`.
        """
        found = from_mergekit(self.text, self.base.merged_names, granularity)
        experts = {name: self.folders[named] for name, named in found.experts.items()}
        return replace(found, base=self.folders[found.base], experts=experts, dtype=self._dtype)

    def headers(self, recipe: MergeRecipe) -> dict[str, CheckpointHeader]:
        """Model of the recipe → header, all of which fit together.

        Raises:
            CheckpointError: a model cannot be read, or does not fit the base.
        """
        found = {name: read_header(folder) for name, folder in recipe.folders.items()}
        check_compatible(found[BASE], {name: header for name, header in found.items() if name != BASE})
        return found

    @property
    def notes(self) -> list[str]:
        """What the file says and a merge here does not follow, or follows otherwise."""
        first = next(iter(self.folders))
        given = {key: self.configuration.get(key) for key in _TOKENIZER_KEYS}
        return [
            f"`{key}: {value}` is not followed: a merge has the tokenizer and the chat template of its base, '{first}'."
            for key, value in given.items()
            if value not in (None, "base", first)
        ]

    @property
    def _dtype(self) -> str:
        given = self.configuration.get("out_dtype") or self.configuration.get("dtype")
        own = self.base.config.get("dtype") or self.base.config.get("torch_dtype") or "bfloat16"
        return str(given or own)
