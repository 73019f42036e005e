"""What a specification may say of its models: folders, hub ids, and LoRA adapters on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from search_spaces.errors import SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.model_reference import ModelReference
from service.specification.section import Name, Section, Text

# Far above what anybody has.
_MAX_EXPERTS = 100
# What pydantic tells a mistake's place by; no name of a model.
TEXT_TAG, MAPPING_TAG = "<text>", "<mapping>"


class ModelSection(Section):
    """A model by its parts. An expert without `model` is its adapter on the base."""

    model: Text | None = None
    revision: Text | None = None
    adapter: Text | None = None
    adapter_revision: Text | None = None

    @model_validator(mode="after")
    def _names_something(self) -> ModelSection:
        if self.model is None and self.adapter is None:
            raise ValueError("a model must be named by `model`, by `adapter`, or by both")
        if self.model is None and self.revision is not None:
            raise ValueError("`revision` is of `model`, which is missing; an adapter's is `adapter_revision`")
        if self.adapter is None and self.adapter_revision is not None:
            raise ValueError("`adapter_revision` is of `adapter`, which is missing")
        return self


def _form(value: Any) -> str:
    return MAPPING_TAG if isinstance(value, dict | ModelSection) else TEXT_TAG


Model = Annotated[Annotated[Text, Tag(TEXT_TAG)] | Annotated[ModelSection, Tag(MAPPING_TAG)], Discriminator(_form)]


class ModelsSection(Section):
    """Which models are merged."""

    base: Model
    experts: dict[Name, Model] = Field(min_length=1, max_length=_MAX_EXPERTS)
    # Whose tokens the merge has: `base`, `union`, or an expert's name.
    tokenizer: Text | None = None

    @field_validator("base")
    @classmethod
    def _base_is_a_model(cls, base: str | ModelSection) -> str | ModelSection:
        if isinstance(base, ModelSection) and base.model is None:
            raise ValueError("the base must have a `model`, to which an adapter may be added")
        return base

    @field_validator("experts")
    @classmethod
    def _base_is_reserved(cls, experts: dict[str, str | ModelSection]) -> dict[str, str | ModelSection]:
        if BASE in experts:
            raise ValueError(f"no expert may be called '{BASE}': that is the base model's name")
        return experts

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_a_models(cls, tokenizer: str | None, info: ValidationInfo) -> str | None:
        known = (BASE, "union", *info.data.get("experts", ()))
        if tokenizer is not None and tokenizer not in known:
            raise ValueError(f"it must be one of {', '.join(known)}, but got '{tokenizer}'")
        return tokenizer

    @property
    def given(self) -> dict[str, str | ModelSection]:
        """Model name → what is written there, base first."""
        return {BASE: self.base, **self.experts}

    @property
    def notations(self) -> dict[str, str]:
        """Model name → `ModelReference.notation`, base first."""
        return {name: self.notation(name) for name in self.given}

    def notation(self, name: str) -> str:
        """One model in mergekit's notation.

        Raises:
            SpecificationError: see `ModelReference`; or an adapter is on a base that has one.
        """
        try:
            return _notation(self.given[name], self.base)
        except SpecificationError as error:
            raise SpecificationError(f"`{model_key(name)}`: {error}") from None


def model_key(name: str) -> str:
    """Where a model stands in a specification."""
    return f"models.{BASE}" if name == BASE else f"models.experts.{name}"


def _notation(given: str | ModelSection, base: str | ModelSection) -> str:
    if isinstance(given, str):
        return given
    if given.model is not None:
        return ModelReference(given.model, given.revision, given.adapter, given.adapter_revision).notation
    # The adapter of a model that has one already is refused with both names.
    on_base = ModelReference(_notation(base, base), adapter=given.adapter)
    return replace(on_base, adapter_revision=given.adapter_revision).notation
