"""One merge method in both tools: exact cases, random masks, the command itself, and what was stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from scripts.parity import golden
from scripts.parity.cases import Case, cases_of, golden_cases_of, recipe_of
from scripts.parity.mask_parity import GOLDEN_PLACE, PLACE, golden_masks, mask_parities
from scripts.parity.mask_sample import Comparison, KeptShares, compare_shares
from scripts.parity.mergekit_runs import Mergekit, MergekitError, MergekitRun
from scripts.parity.our_merges import OurMerges
from scripts.parity.ulps import Agreement
from search_spaces.errors import ParetomergeError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one case is kept.

    Args:
        method: its name.
        words: the case.
        found: the numbers, in words.
        kept: whether it is parity.
        agreement: of a case that is compared element by element.
    """

    method: str
    words: str
    found: str
    kept: bool
    agreement: Agreement | None = None


class MethodParity:
    """What is asked of both tools about one method; mergekit answers all of it in one process.

    Args:
        method: its name.
        families: name → model name → folder, the golden ones among them.
        folder: for what mergekit writes.
    """

    def __init__(self, method: str, families: Mapping[str, Mapping[str, str]], folder: Path) -> None:
        self.method = method
        self.families = families
        self.folder = folder
        self.ours = OurMerges()
        self.cases = {case: self._run(case, f"case{i}") for i, case in enumerate(cases_of(method))}
        self.golden = {case: self._run(case, f"golden{i}") for i, case in enumerate(golden_cases_of(method))}
        self.masks = mask_parities(method, families[PLACE.family], folder)
        self.golden_masks = golden_masks(method, families[GOLDEN_PLACE.family], folder / "golden_masks")

    def _run(self, case: Case, name: str) -> MergekitRun:
        folders = self.families[case.place.family]
        return MergekitRun(recipe_of(case, folders, read_header(folders[BASE]).merged_names), self.folder / name)

    def verdicts(self, mergekit: Mergekit) -> Iterator[Verdict]:
        """Let mergekit merge, and compare everything but what is stored."""
        masks = [*self.masks, *([self.golden_masks] if self.golden_masks else [])]
        runs = [*self.cases.values(), *self.golden.values(), *(run for each in masks for run in each.runs)]
        mergekit.run(runs, self.folder / "jobs.json")
        for case, run in self.cases.items():
            yield self._exact(case.words, run)
        yield self._by_command(mergekit)
        for each in self.masks:
            yield from (self._random(each.words, comparison) for comparison in each.compare())

    def stored_verdicts(self) -> Iterator[Verdict]:
        """Whether mergekit still gives what is stored; after `verdicts`."""
        stored = golden.read_cases(self.method)
        if [case.words for case in stored] != [case.words for case in self.golden]:
            yield Verdict(self.method, "stored results", "must be made anew: --regenerate", kept=False)
            return
        for case, run in zip(stored, self.golden.values(), strict=True):
            yield self._compared(f"mergekit as stored: {case.words}", run, case.merged)
        masks = golden.read_masks(self.method)
        if self.golden_masks and masks:
            for comparison in compare_shares(self.golden_masks.their_sample(), masks.shares):
                yield self._random(f"mergekit as stored: {self.golden_masks.words}", comparison)

    def store(self) -> None:
        """Store what mergekit gave; after `verdicts`."""
        cases = [
            golden.GoldenCase(case.words, case.place.family, golden.with_names(run.recipe), run.merged())
            for case, run in self.golden.items()
        ]
        golden.write_results(self.method, cases, self._stored_masks())

    def _stored_masks(self) -> golden.GoldenMasks | None:
        if self.golden_masks is None:
            return None
        recipe = golden.with_names(self.golden_masks.runs[0].recipe)
        shares = KeptShares.of(self.golden_masks.their_sample())
        return golden.GoldenMasks(GOLDEN_PLACE.family, recipe, shares)

    def _exact(self, words: str, run: MergekitRun) -> Verdict:
        try:
            ours = self.ours.merged(run.recipe)
        except ParetomergeError as error:
            return Verdict(self.method, words, f"refused here: {error}", kept=False)
        return self._compared(words, run, ours)

    def _compared(self, words: str, run: MergekitRun, wanted: Mapping[str, Tensor]) -> Verdict:
        try:
            theirs = run.merged()
        except MergekitError as error:
            return Verdict(self.method, words, f"refused by mergekit: {error}", kept=False)
        agreement = agreement_of(wanted, theirs)
        found = f"<= 1 ulp {agreement.share_within_1:.6f}  max {agreement.max_ulps}"
        return Verdict(self.method, words, found, agreement.kept, agreement)

    def _by_command(self, mergekit: Mergekit) -> Verdict:
        case, run = next(iter(self.cases.items()))
        run = MergekitRun(run.recipe, self.folder / "command")
        mergekit.run_command(run)
        return self._exact(f"by mergekit-yaml: {case.words}", run)

    def _random(self, words: str, comparison: Comparison) -> Verdict:
        found = f"worst {comparison.worst:.2g}, limit {comparison.limit:g} {comparison.unit}"
        return Verdict(self.method, f"{words}: {comparison.words} ({comparison.n})", found, comparison.kept)


def agreement_of(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Agreement:
    """Over all tensors; both tools must have the same."""
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"Both merges must have the same tensors, but differ in {sorted(ours.keys() ^ theirs.keys())}."
        )
    return sum((Agreement.between(ours[name], theirs[name]) for name in ours), Agreement())
