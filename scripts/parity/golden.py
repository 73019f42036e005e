"""Results of mergekit that are stored beside the tests: checkpoints, recipes, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from scripts.parity.mask_sample import KeptShares
from scripts.parity.small_checkpoints import GOLDEN_FAMILIES, Tensors, random_tensors
from search_spaces import MergeRecipe
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors

FOLDER = Path(__file__).parents[2] / "tests" / "parity_tests" / "golden"


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One merge.

    Args:
        words: the case in words.
        family: whose models are merged.
        recipe: with the models' names for folders.
        merged: what mergekit made of it.
    """

    words: str
    family: str
    recipe: MergeRecipe
    merged: Tensors


@dataclass(frozen=True, slots=True)
class GoldenMasks:
    """The random masks of a stochastic method.

    Args:
        family: whose models are merged.
        recipe: of one expert of weight 1, with the models' names for folders.
        shares: what mergekit kept.
    """

    family: str
    recipe: MergeRecipe
    shares: KeptShares


def write_sources(folder: Path = FOLDER) -> None:
    """Make the families anew, and store them."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in GOLDEN_FAMILIES:
        models = random_tensors(family)
        save_file(_joined(models), folder / f"{family.name}.safetensors")


def read_sources(family: str, folder: Path = FOLDER) -> dict[str, Tensors]:
    """The stored models of a family: name → tensors."""
    return _parted(load_file(folder / f"{family}.safetensors"))


def write_results(
    method: str, cases: list[GoldenCase], masks: GoldenMasks | None = None, folder: Path = FOLDER
) -> None:
    """Store a method's cases, and its masks if they are random."""
    told: dict[str, Any] = {
        "cases": [{"words": case.words, "family": case.family, "recipe": case.recipe.to_dict()} for case in cases]
    }
    if masks is not None:
        told["masks"] = asdict(masks)
    (folder / f"{method}.json").write_text(json.dumps(told) + "\n")
    merged = {str(i): {name: t.contiguous() for name, t in case.merged.items()} for i, case in enumerate(cases)}
    save_file(_joined(merged), folder / f"{method}.safetensors")


def read_cases(method: str, folder: Path = FOLDER) -> list[GoldenCase]:
    """A method's stored cases; none where nothing was stored."""
    path = folder / f"{method}.json"
    if not path.exists():
        return []
    merged = _parted(load_file(folder / f"{method}.safetensors"))
    return [
        GoldenCase(told["words"], told["family"], MergeRecipe.from_dict(told["recipe"]), merged[str(i)])
        for i, told in enumerate(json.loads(path.read_text())["cases"])
    ]


def read_masks(method: str, folder: Path = FOLDER) -> GoldenMasks | None:
    """What is stored of a method's random masks, if anything is."""
    told = json.loads((folder / f"{method}.json").read_text()).get("masks")
    if told is None:
        return None
    by_tensor = {name: (mean, deviation) for name, (mean, deviation) in told["shares"]["by_tensor"].items()}
    shares = KeptShares(**{**told["shares"], "by_tensor": by_tensor, "by_rank": tuple(told["shares"]["by_rank"])})
    return GoldenMasks(told["family"], MergeRecipe.from_dict(told["recipe"]), shares)


def with_names(recipe: MergeRecipe) -> MergeRecipe:
    """The recipe with the models' names where their folders were."""
    return replace(recipe, base="base", experts={name: name for name in recipe.experts})


def merge_here(recipe: MergeRecipe, sources: Mapping[str, Tensors]) -> Iterator[tuple[str, Tensor]]:
    """The recipe's merge by our method: tensor after tensor."""
    method = MERGE_METHODS[recipe.method]
    for group, names in recipe.groups.items():
        parameters = GroupParameters.of(recipe, group)
        for name in names:
            experts = tuple(sources[expert][name] for expert in recipe.experts)
            out = torch.empty(experts[0].shape, dtype=getattr(torch, recipe.dtype))
            method.merge(SourceTensors(name, sources["base"][name], experts), parameters, out)
            yield name, out


def _joined(parts: Mapping[str, Tensors]) -> dict[str, Tensor]:
    return {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def _parted(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = tensor
    return dict(parts)
