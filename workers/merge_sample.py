"""How fast this machine merges: a sample of a model, written to files, mapped and merged as candidates are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from optuna.distributions import BaseDistribution, IntDistribution
from safetensors.torch import save_file
from torch import Tensor

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, SpaceOptions
from search_spaces.merge_recipe import BASE
from search_spaces.parameter_groups import layer_of
from workers.cache_folder import cache_folder
from workers.checkpoints import CheckpointHeader, MappedCheckpoint
from workers.checkpoints.header import SINGLE_FILE
from workers.live_candidate import LiveCandidate

# Of all models and the candidate together: many times what caches hold, and made within a second or two.
_SAMPLE_BYTES = 256 * 2**20
# A slow method has its candidates until then, and two at least.
_BUDGET_S, _MIN_ROUNDS, _MAX_ROUNDS = 4.0, 2, 9
_GB = 1e9


@dataclass(frozen=True, slots=True)
class MergeRate:
    """What was measured on a sample.

    Args:
        make_s: seconds per element of a candidate, of any but the first.
        cpu_s: the same, of all its threads on the cores: others that are at work there do not count.
        rank_s: seconds per element that a method sorts, of one expert.
        memory: see `memory_gb_s`.
        disk: GB/s of a first reading of files.
    """

    make_s: float
    cpu_s: float
    rank_s: float
    memory: float
    disk: float


@dataclass(frozen=True, slots=True)
class SampledMerge:
    """What is merged in the sample.

    Args:
        header: of a model of the experts' shape.
        method: a name in `METHOD_SIGNATURES`.
        n_experts: beside the base.
        dtype: of candidates: torch's name of it.
        device: torch's name of it.
    """

    header: CheckpointHeader
    method: str
    n_experts: int
    dtype: str
    device: str = "cpu"

    @property
    def models(self) -> tuple[str, ...]:
        """Their names, base first."""
        return (BASE, *(f"expert{k}" for k in range(self.n_experts)))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Those of a layer, or of as many as make a sample; rows are left out where one is too large already."""
        budget = _SAMPLE_BYTES // 4 // (self.n_experts + 2)
        found: list[tuple[int, ...]] = []
        for layer in sorted({number for name in self.header.merged_names if (number := layer_of(name)) is not None}):
            found += [t.shape for name, t in self.header.weights.items() if t.is_float and layer_of(name) == layer]
            if sum(map(prod, found)) * 2 >= budget:
                break
        share = min(1.0, 2 * budget / max(1, sum(map(prod, found))))
        return [shape if len(shape) < 2 else (max(1, int(shape[0] * share)), *shape[1:]) for shape in found]


def measure_merging(sampled: SampledMerge) -> MergeRate:
    """Merge the sample by a method's own code, with as many threads as torch has; other numbers each time.

    Raises:
        OSError: the sample cannot be written.
    """
    folder = cache_folder("samples")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as place:
        folders = {name: Path(place) / name for name in sampled.models}
        _write(sampled, folders)
        disk = _read_gb_s(folders[BASE] / SINGLE_FILE)
        with _candidate(sampled, folders) as candidate:
            recipes = _recipes(sampled, folders)
            sorting_s = _timed_s(lambda: candidate.sources.of(next(recipes)))
            candidate.make(next(recipes))  # compiles, and makes the pages of the candidate its own
            rounds = list(_rounds(candidate, recipes))
    n = sum(map(prod, sampled.shapes))
    sorts = METHOD_SIGNATURES[sampled.method].ranking is not None
    make_s, cpu_s = (median(one[i] for one in rounds) / n for i in (0, 1))
    return MergeRate(make_s, cpu_s, sorting_s / n / sampled.n_experts if sorts else 0.0, memory_gb_s(), disk)


def memory_gb_s() -> float:
    """What a copy of half a sample moves each second, with all cores of this process: reading and writing counted."""
    source, target = (torch.ones(_SAMPLE_BYTES // 2, dtype=torch.uint8) for _ in range(2))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        return 2 * source.nbytes / _GB / median(_timed_s(lambda: target.copy_(source)) for _ in range(5))
    finally:
        torch.set_num_threads(n_threads)


def _write(sampled: SampledMerge, folders: dict[str, Path]) -> None:
    draw = torch.Generator().manual_seed(0)
    dtype = _stored(sampled.header)
    for shape_turn, folder in enumerate(folders.values()):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architectures": ["Sample"]}))
        tensors: dict[str, Tensor] = {}
        for i, shape in enumerate(sampled.shapes):
            base = torch.empty(shape).normal_(0, 0.02, generator=torch.Generator().manual_seed(i))
            noise = torch.empty(shape).normal_(0, 1e-3, generator=draw) if shape_turn else 0.0
            tensors[f"t{i}"] = (base + noise).to(dtype)
        save_file(tensors, folder / SINGLE_FILE)


def _stored(header: CheckpointHeader) -> torch.dtype:
    names = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
    largest = max(header.merged_names, key=lambda name: header.tensors[name].n_elements)
    return names[header.tensors[largest].dtype]


def _read_gb_s(path: Path) -> float:
    """As if nobody had read the file before."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        seconds = _timed_s(file.read)
    return path.stat().st_size / _GB / seconds


@contextmanager
def _candidate(sampled: SampledMerge, folders: dict[str, Path]) -> Iterator[LiveCandidate]:
    # As a worker loads its base: mapped where the dtype is the same, and its own page by page as it is written.
    base = MappedCheckpoint(folders[BASE])
    dtype = getattr(torch, sampled.dtype)
    parameters = {name: base.tensor(name).to(sampled.device, dtype) for name in base.header.merged_names}
    model = torch.nn.ParameterDict({n: torch.nn.Parameter(p, requires_grad=False) for n, p in parameters.items()})
    yield LiveCandidate(model, {name: MappedCheckpoint(folder) for name, folder in folders.items()}, cache_gib=1e6)


def _recipes(sampled: SampledMerge, folders: dict[str, Path]) -> Iterator[MergeRecipe]:
    """Each with other numbers than the one before, within the usual bounds."""
    names = [f"t{i}" for i in range(len(sampled.shapes))]
    experts = {name: str(folder) for name, folder in folders.items() if name != BASE}
    space = SearchSpace(str(folders[BASE]), experts, names, SpaceOptions(sampled.method, "tensor", dtype=sampled.dtype))
    turn = 0
    while True:
        turn += 1
        yield space.decode(
            {name: _number(found, (i + 3 * turn) % 7) for i, (name, found) in enumerate(space.distributions().items())}
        )


def _number(found: BaseDistribution, seventh: int) -> float:
    bounds: Any = found
    value: float = bounds.low + (0.3 + 0.4 * seventh / 7) * (bounds.high - bounds.low)
    return round(value) if isinstance(found, IntDistribution) else value


def _rounds(candidate: LiveCandidate, recipes: Iterator[MergeRecipe]) -> Iterator[tuple[float, float]]:
    """Seconds of each, by the clock and on the cores."""
    started = time.perf_counter()
    for turn in range(_MAX_ROUNDS):
        if turn >= _MIN_ROUNDS and time.perf_counter() - started > _BUDGET_S:
            return
        recipe = next(recipes)
        candidate.forget()
        on_cores = time.process_time()
        yield _timed_s(partial(candidate.make, recipe)), time.process_time() - on_cores


def _timed_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
