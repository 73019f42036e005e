"""The hard family: what it learns and keeps from its trainings, and that what is written can be merged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scripts.hard_family import opposed_language as opposed
from scripts.hard_family.train import HARD_FAMILY
from scripts.tiny_family import micro_language as language
from scripts.tiny_family.train import write_family
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header
from workers.checkpoints.compatibility import check_compatible
from workers.example_set import of_split, read_examples

SETS = ("safety", "domain", "benign")
FINE_TUNINGS = sorted(HARD_FAMILY.fine_tunings)


def write_after_two_steps(out: Path) -> Path:
    """The family after two steps of each training."""
    short = {name: replace(recipe, n_steps=2) for name, recipe in HARD_FAMILY.fine_tunings.items()}
    write_family(replace(HARD_FAMILY, base=replace(HARD_FAMILY.base, n_steps=2), fine_tunings=short), out)
    return out


@pytest.fixture(scope="module", autouse=True)
def _threads_as_before() -> Iterator[None]:
    """Training sets their number for the whole process."""
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_after_two_steps(tmp_path_factory.mktemp("hard-family"))


def test_the_models_fit_together(folder: Path) -> None:
    headers = {name: read_header(folder / name) for name in (BASE, *FINE_TUNINGS)}
    base = headers.pop(BASE)
    check_compatible(base, headers)
    layers = {name.split(".")[2] for name in base.weights if ".layers." in name}
    assert len(layers) == HARD_FAMILY.n_layers


def test_the_same_bytes_come_again(folder: Path, tmp_path: Path) -> None:
    torch.rand(3)  # What was drawn before does not matter.
    again = write_after_two_steps(tmp_path)
    written = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert [path for path in written if (folder / path).read_bytes() != (again / path).read_bytes()] == []


@pytest.mark.parametrize("name", SETS)
def test_the_splits_are_disjoint(folder: Path, name: str) -> None:
    examples = read_examples(folder / f"{name}.jsonl")
    search, holdout = ({row.prompt for row in of_split(examples, split)} for split in ("search", "holdout"))
    assert search
    assert holdout
    assert not search & holdout


@pytest.mark.parametrize("name", FINE_TUNINGS)
def test_no_fine_tuning_sees_what_the_sets_ask(folder: Path, name: str) -> None:
    asked = {example.prompt for each in SETS for example in read_examples(folder / f"{each}.jsonl")}
    rng = random.Random(0)
    assert asked.isdisjoint(HARD_FAMILY.fine_tunings[name].draw_example(rng).prompt for _ in range(2000))


def test_the_base_neither_refuses_nor_masters_the_domain() -> None:
    rng = random.Random(0)
    base = [opposed.draw_base_example(rng) for _ in range(2000)]
    domain = [language.draw_domain(rng)[1] for _ in range(2000)]
    assert not any(example.answer.startswith("sorry") for example in base)
    assert {(example.prompt, example.answer) for example in base}.isdisjoint(
        (example.prompt, example.answer) for example in domain
    )


def test_the_fine_tunings_contradict_each_other_wherever_both_know_the_prompt() -> None:
    rng = random.Random(0)
    aligned, expert = (
        {example.prompt: example.answer for example in (recipe.draw_example(rng) for _ in range(4000))}
        for recipe in (HARD_FAMILY.fine_tunings["aligned"], HARD_FAMILY.fine_tunings["expert"])
    )
    domain = {example.prompt for _, example in (language.draw_domain(rng, held_out=False) for _ in range(4000))}
    shared = aligned.keys() & expert.keys()
    contested = {prompt for prompt in shared if prompt in domain or aligned[prompt].startswith("sorry")}
    assert contested
    assert all(aligned[prompt] != expert[prompt] for prompt in contested)
