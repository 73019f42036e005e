"""What mergekit made of the same recipes, as it is stored: every shared method comes out the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.parity import golden
from scripts.parity.mask_sample import MaskSample, compare_shares
from scripts.parity.method_parity import agreement_of
from search_spaces import METHOD_SIGNATURES
from search_spaces.merge_recipe import BASE
from service.methods import read_record

SHARED = sorted(METHOD_SIGNATURES.keys() & set(read_record().mergekit_methods))
STOCHASTIC = [name for name in SHARED if METHOD_SIGNATURES[name].stochastic]


@pytest.mark.parametrize("method", SHARED)
def test_every_shared_method_gives_what_mergekit_gave(method: str) -> None:
    cases = golden.read_cases(method)
    assert cases, f"nothing is stored of '{method}': python -m scripts.parity {method} --regenerate"
    for case in cases:
        ours = dict(golden.merge_here(case.recipe, golden.read_sources(case.family)))
        agreement = agreement_of(ours, case.merged)
        assert agreement.kept, f"{case.words}: {agreement}"


@pytest.mark.parametrize("method", STOCHASTIC)
def test_random_masks_keep_what_mergekits_kept(method: str) -> None:
    stored = golden.read_masks(method)
    assert stored is not None
    sources = golden.read_sources(stored.family)
    sample = MaskSample(sources[BASE], [sources[expert] for expert in stored.recipe.experts])
    for seed in range(stored.shares.n_seeds):
        sample.add(dict(golden.merge_here(replace(stored.recipe, seed=seed), sources)))
    assert [found for found in compare_shares(sample, stored.shares) if not found.kept] == []


def test_what_is_stored_is_small() -> None:
    assert sum(path.stat().st_size for path in golden.FOLDER.iterdir()) < 2_000_000
