"""The random masks of both tools, compared in distribution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from safetensors.torch import load_file

from scripts.parity.cases import Case, Place, Setting, recipe_of
from scripts.parity.mask_sample import N_SEEDS, MaskSample
from scripts.parity.mergekit_runs import MergekitRun
from scripts.parity.our_merges import OurMerges
from search_spaces import METHOD_SIGNATURES
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header

PLACE = Place("llama-float32", "float32", "model")
DENSITIES = (0.2, 0.7)
# DELLA's probabilities spread by it around the density, and stay within 0 and 1.
EPSILON = 0.15


def mask_cases(method: str, densities: tuple[float, ...] = DENSITIES, place: Place = PLACE) -> Iterator[Case]:
    """What is asked of both tools: one expert of weight 1, so that a merge shows its mask."""
    signature = METHOD_SIGNATURES[method]
    for density in densities if signature.stochastic else ():
        fixed = (("weight", 1.0), ("density", density), ("epsilon", EPSILON))
        yield Case(method, place, Setting(f"random masks, density {density:g}", fixed, normalize=False))


def mask_runs(case: Case, folders: Mapping[str, str], to: Path) -> list[MergekitRun]:
    """The merges that mergekit must make: one for each seed."""
    recipe = recipe_of(case, _alone(folders), _names(folders))
    return [MergekitRun(recipe, to / str(seed), seed) for seed in range(N_SEEDS)]


def our_sample(case: Case, folders: Mapping[str, str]) -> MaskSample:
    """What our masks do."""
    sample, merges = _empty_sample(folders), OurMerges()
    for seed in range(N_SEEDS):
        sample.add(merges.merged(recipe_of(case, _alone(folders), _names(folders), seed)))
    return sample


def their_sample(runs: Sequence[MergekitRun], folders: Mapping[str, str]) -> MaskSample:
    """What mergekit's masks do."""
    sample = _empty_sample(folders)
    for run in runs:
        sample.add(run.merged())
    return sample


def _alone(folders: Mapping[str, str]) -> dict[str, str]:
    return dict(list(folders.items())[:2])


def _names(folders: Mapping[str, str]) -> tuple[str, ...]:
    return read_header(folders[BASE]).merged_names


def _empty_sample(folders: Mapping[str, str]) -> MaskSample:
    base, expert = (load_file(Path(folder) / "model.safetensors") for folder in _alone(folders).values())
    return MaskSample(base, expert)
