"""Rounds of candidates by our process and the peer's, in turn, with copies of as many bytes between them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from optuna.distributions import IntDistribution

from benchmarks.candidate_process import CandidateProcess
from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, SpaceOptions, to_mergekit
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header


def recipe_of(method: str, folders: Mapping[str, Path], turn: int, same_densities: bool = False) -> MergeRecipe:
    """A recipe whose coefficients differ from layer to layer, and all of them from those of the turn before."""
    signature = METHOD_SIGNATURES[method]
    n_experts = 1 if signature.merges_a_pair else signature.max_experts
    experts = {name: str(folder) for name, folder in list(folders.items())[1:][:n_experts]}
    names = read_header(folders[BASE]).merged_names
    seed = 0 if same_densities else turn
    space = SearchSpace(str(folders[BASE]), experts, names, SpaceOptions(method, "layer", seed=seed))

    def value(i: int, name: str, found: Any) -> float:
        turns = 0 if same_densities and not name.endswith("/weight") else turn
        share = 0.3 + 0.4 * ((i + 3 * turns) % 7) / 7 + 1e-3 * (turns % 50)
        number: float = found.low + share * (found.high - found.low)
        return round(number) if isinstance(found, IntDistribution) else number

    numbers = enumerate(space.distributions().items())
    return space.decode({name: value(i, name, found) for i, (name, found) in numbers})


@dataclass(slots=True)
class Timings:
    """Seconds of every round of one method, and what memory the two processes had at most."""

    copies: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    same_densities: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    first_s: float = 0.0
    our_peak_bytes: int = 0
    peer_peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Rounds:
    """What is the same for all methods.

    Args:
        folders: model name → checkpoint, base first.
        to: a folder for recipes.
        rounds: of copies and candidates.
        peer: the interpreter of mergekit's environment, or None.
        peer_rounds: of its candidates, the first of which is not counted if there are more.
        peer_budget_s: when it has used that up, it makes no more.
    """

    folders: dict[str, Path]
    to: Path
    rounds: int
    peer: Path | None
    peer_rounds: int
    peer_budget_s: float

    def measure(self, method: str, with_peer: bool) -> Timings:
        """All rounds of a method."""
        recipe = self._recipe(method, 0)
        found = Timings()
        with ExitStack() as stack:
            ours = stack.enter_context(CandidateProcess(self._our_command(recipe)))
            peer = stack.enter_context(CandidateProcess(self._peer_command())) if with_peer else None
            copy = _copy_of(self.folders[BASE])
            found.first_s = ours.make_s(self._our_file(recipe))
            for turn in range(1, self.rounds + 1):
                recipe = self._recipe(method, turn)
                found.copies.append(timed_s(copy))
                found.ours.append(ours.make_s(self._our_file(recipe)))
                if peer is not None and len(found.peer) < self.peer_rounds and sum(found.peer) < self.peer_budget_s:
                    found.peer.append(peer.make_s(self._peer_file(recipe)))
            self._measure_same_densities(method, ours, found)
            found.our_peak_bytes = ours.peak_bytes
            found.peer_peak_bytes = peer.peak_bytes if peer is not None else 0
        return found

    def _measure_same_densities(self, method: str, ours: CandidateProcess, found: Timings) -> None:
        if "density" not in [parameter.name for parameter in METHOD_SIGNATURES[method].parameters]:
            return
        ours.make_s(self._our_file(self._recipe(method, 0, same_densities=True)))
        for turn in range(1, self.rounds + 1):
            found.same_densities.append(ours.make_s(self._our_file(self._recipe(method, turn, same_densities=True))))

    def _recipe(self, method: str, turn: int, same_densities: bool = False) -> MergeRecipe:
        return recipe_of(method, self.folders, turn, same_densities)

    def _our_command(self, recipe: MergeRecipe) -> list[str]:
        threads = str(torch.get_num_threads())
        return [sys.executable, "-m", "benchmarks.our_candidates", json.dumps(recipe.folders), threads]

    def _peer_command(self) -> list[str]:
        script = str(Path(__file__).parent / "mergekit_candidates.py")
        return [str(self.peer), script, str(self.folders[BASE]), str(torch.get_num_threads())]

    def _our_file(self, recipe: MergeRecipe) -> Path:
        path = self.to / "recipe.json"
        path.write_text(json.dumps(recipe.to_dict()))
        return path

    def _peer_file(self, recipe: MergeRecipe) -> Path:
        """The configuration as mergekit-evolve has it: all in bfloat16, which is its faster way."""
        config = {**yaml.safe_load(to_mergekit(recipe)), "dtype": "bfloat16", "out_dtype": "bfloat16"}
        path = self.to / "recipe.yml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path


def timed_s(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _copy_of(folder: Path) -> Callable[[], object]:
    """A copy of as many bytes as the model has."""
    n_elements = sum(tensor.n_elements for tensor in read_header(folder).tensors.values())
    source, target = (torch.zeros(n_elements, dtype=torch.bfloat16) for _ in range(2))
    target.copy_(source)
    return lambda: target.copy_(source)
