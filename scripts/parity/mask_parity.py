"""The random masks of both tools, compared in distribution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors.torch import load_file

from scripts.parity.cases import Case, Place, Setting, recipe_of
from scripts.parity.mask_sample import N_SEEDS, Comparison, MaskSample, compare_masks
from scripts.parity.mergekit_runs import MergekitRun
from scripts.parity.our_merges import OurMerges
from search_spaces import METHOD_SIGNATURES, MergeRecipe
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header

PLACE = Place("llama-float32", "float32", "model")
GOLDEN_PLACE = Place("golden-bfloat16", "float32", "model")
GOLDEN_SETTING = Setting("masks of density 0.6", (("density", 0.6), ("rescale", 1)), n_experts=1)
# One expert of weight 1 shows its mask; several show what an election makes of theirs. DELLA's probabilities spread
# by `epsilon` around the density, and stay within 0 and 1.
_SETTINGS = (
    Setting("masks of density 0.2", (("density", 0.2), ("rescale", 1)), n_experts=1),
    Setting("masks of density 0.7", (("density", 0.7), ("rescale", 1)), n_experts=1),
    Setting("masks of density 0.5, not rescaled", (("density", 0.5), ("rescale", 0)), n_experts=1),
    Setting("masks of density 0.5, three experts", (("density", 0.5), ("rescale", 1)), n_experts=3),
)


class MaskParity:
    """One setting of a stochastic method over the seeds.

    Args:
        method: its name.
        setting: of its masks.
        folders: of the place's family: model name → folder, base first.
        to: a folder for what mergekit writes.
        place: over which checkpoints, and in which dtype.
    """

    def __init__(
        self, method: str, setting: Setting, folders: Mapping[str, str], to: Path, place: Place = PLACE
    ) -> None:
        fixed = (("weight", 1.0), ("epsilon", 0.15), *setting.fixed)
        self.words = setting.words
        self.rescaled = bool(dict(fixed)["rescale"])
        self._case = Case(method, place, Setting(setting.words, fixed, normalize=False, n_experts=setting.n_experts))
        self._folders = folders
        self.runs = [MergekitRun(self._recipe(seed), to / str(seed), seed) for seed in range(N_SEEDS)]

    def compare(self) -> Iterator[Comparison]:
        """Both tools; after mergekit made its runs."""
        merges, ours = OurMerges(), self._empty_sample()
        for run in self.runs:
            ours.add(merges.merged(run.recipe))
        yield from compare_masks(ours, self.their_sample(), self.rescaled)

    def their_sample(self) -> MaskSample:
        """What mergekit's masks did; after it made its runs."""
        sample = self._empty_sample()
        for run in self.runs:
            sample.add(run.merged())
        return sample

    def _recipe(self, seed: int) -> MergeRecipe:
        return recipe_of(self._case, self._folders, read_header(self._folders[BASE]).merged_names, seed)

    def _empty_sample(self) -> MaskSample:
        folders = self.runs[0].recipe.folders.values()
        base, *experts = (load_file(Path(folder) / "model.safetensors") for folder in folders)
        return MaskSample(base, experts)


def mask_parities(method: str, folders: Mapping[str, str], to: Path) -> list[MaskParity]:
    """What is compared of a method; nothing where it has no random masks."""
    settings = _SETTINGS if METHOD_SIGNATURES[method].stochastic else ()
    return [MaskParity(method, setting, folders, to / f"masks{i}") for i, setting in enumerate(settings)]


def golden_masks(method: str, folders: Mapping[str, str], to: Path) -> MaskParity | None:
    """What is stored of a method's random masks, if it has any."""
    if not METHOD_SIGNATURES[method].stochastic:
        return None
    return MaskParity(method, GOLDEN_SETTING, folders, to, GOLDEN_PLACE)
