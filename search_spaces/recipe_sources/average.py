"""A weighted average of whole models as a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search_spaces.merge_recipe import BASE, MergeRecipe

_GROUP = "model"


def average_recipe(
    models: Mapping[str, str], tensor_names: Iterable[str], weights: Mapping[str, float], dtype: str = "bfloat16"
) -> MergeRecipe:
    """Σ wᵢθᵢ / Σ wᵢ, the same in every tensor.

    Args:
        models: name → notation, base first.
        tensor_names: of the base's checkpoint.
        weights: model → wᵢ; a model that has none is not merged.
        dtype: of the merged tensors.

    Raises:
        RecipeError: a weight that cannot be.
    """
    return MergeRecipe(
        method="linear",
        base=models[BASE],
        experts={name: notation for name, notation in models.items() if name != BASE},
        groups={_GROUP: tuple(tensor_names)},
        coefficients={name: {_GROUP: {"weight": weights.get(name, 0.0)}} for name in models},
        normalize=True,
        dtype=dtype,
    )
