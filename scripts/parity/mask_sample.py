"""What random masks did to one lone task vector, over many seeds, and whether two tools do the same to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Of the ranks within a row.
N_BINS = 10
# A comparison of two tools of which each had 50 seeds fails by chance 5 times in 2 million (t with 98 degrees of
# freedom). All methods, densities and tensors together are some 1,500 comparisons: a false alarm in 250 runs.
MAX_STANDARD_ERRORS = 5.0
N_SEEDS = 50
# mergekit keeps the L1 norm of a task vector; float32 sums of some 10^5 elements are not more exact than that.
MAX_L1_DEVIATION = 1e-4


@dataclass(slots=True)
class TensorSample:
    """One tensor, over the seeds.

    Args:
        vector: the task vector, `n_rows x n`; a vector of one dimension is one row.
        kept: the share of elements that each seed keeps.
        l1: the merged task vector's L1 norm over the task vector's own, for each seed.
        total: the sum of the merged task vectors.
        by_rank: how often the elements of each tenth were kept, tenths by magnitude within their row, smallest first.
        bins: the tenth to which each element belongs.
    """

    vector: Tensor
    kept: list[float] = field(default_factory=list)
    l1: list[float] = field(default_factory=list)
    total: Tensor = field(init=False)
    by_rank: Tensor = field(init=False)
    bins: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.total = torch.zeros_like(self.vector)
        self.by_rank = torch.zeros(N_BINS, dtype=torch.float64)
        ranks = self.vector.abs().argsort(dim=1).argsort(dim=1)
        self.bins = ranks * N_BINS // self.vector.shape[1]

    @property
    def rank_sizes(self) -> Tensor:
        """How many elements each tenth has."""
        return torch.bincount(self.bins.flatten(), minlength=N_BINS).double()

    def add(self, merged: Tensor) -> None:
        """One seed's merged task vector."""
        mask = merged != 0
        self.kept.append(float(mask.double().mean()))
        self.l1.append(float(merged.double().abs().sum() / self.vector.double().abs().sum()))
        self.total += merged
        self.by_rank += torch.bincount(self.bins[mask], minlength=N_BINS)


class MaskSample:
    """All tensors of a lone expert of weight 1.

    Args:
        base: the base's tensors in float32.
        expert: the expert's.
    """

    def __init__(self, base: Mapping[str, Tensor], expert: Mapping[str, Tensor]) -> None:
        self.base = {name: _rows(tensor) for name, tensor in base.items()}
        self.tensors = {name: TensorSample(_rows(expert[name]) - self.base[name]) for name in base}

    def add(self, merged: Mapping[str, Tensor]) -> None:
        """One seed's merged model."""
        for name, sample in self.tensors.items():
            sample.add(_rows(merged[name]) - self.base[name])


def _rows(tensor: Tensor) -> Tensor:
    return tensor.detach().float().reshape(-1, tensor.shape[-1])


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of number, compared between the tools.

    Args:
        words: what was compared.
        n: how many of them.
        worst: the largest difference.
        limit: how large it may be.
        unit: of both.
    """

    words: str
    n: int
    worst: float
    limit: float = MAX_STANDARD_ERRORS
    unit: str = "standard errors"

    @property
    def kept(self) -> bool:
        """Whether all lie within the limit."""
        return self.worst <= self.limit


def compare_masks(ours: MaskSample, theirs: MaskSample) -> Iterator[Comparison]:
    """Kept shares and how they spread, rescaling, expectation, and the kept share by rank."""
    pairs = [(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors]
    yield _worst("kept share", (mean_difference(a.kept, b.kept) for a, b in pairs))
    yield _worst("its spread over seeds", (_spread_difference(a.kept, b.kept) for a, b in pairs))
    deviations = [abs(norm - 1) for a, _ in pairs for norm in a.l1]
    yield Comparison("L1 norm, every seed", len(deviations), max(deviations), MAX_L1_DEVIATION, "of itself")
    yield _worst("expectation of every element", (_expectation_difference(a, b) for a, b in pairs))
    yield _worst("kept share by rank in the row", _rank_differences(pairs))


def _worst(words: str, differences: Iterator[float]) -> Comparison:
    found = [abs(difference) for difference in differences]
    return Comparison(words, len(found), max(found))


def mean_difference(first: list[float], second: list[float]) -> float:
    """Between two means, in standard errors of it."""
    a, b = torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)
    error = math.sqrt(float(a.var()) / len(a) + float(b.var()) / len(b))
    difference = float(a.mean() - b.mean())
    return difference / error if error else math.copysign(math.inf, difference) if difference else 0.0


def _spread_difference(first: list[float], second: list[float]) -> float:
    """Between the logarithms of two variances, whose standard error is sqrt(2 / (n - 1)) each."""
    a, b = (torch.tensor(values, dtype=torch.float64).var().item() for values in (first, second))
    if a == 0 or b == 0:
        return 0.0 if a == b else math.inf
    return math.log(a / b) / math.sqrt(2 / (len(first) - 1) + 2 / (len(second) - 1))


def _expectation_difference(ours: TensorSample, theirs: TensorSample) -> float:
    """Mean over the elements of (difference of means)² over its variance: 1 if the expectations are equal.

    An element of task vector τ that is kept with probability p and then stretched by f has the variance
    f²τ²p(1 - p); p is that of its tenth, for DELLA keeps the larger ones more often.
    """
    n_seeds = len(ours.kept)
    shares = ((ours.by_rank + theirs.by_rank) / (2 * n_seeds * ours.rank_sizes))[ours.bins]
    stretch = (ours.total + theirs.total).abs().sum() / (2 * n_seeds * shares * ours.vector.abs()).sum()
    variance = 2 / n_seeds * (stretch * ours.vector) ** 2 * shares * (1 - shares)
    ratio = (((ours.total - theirs.total) / n_seeds) ** 2 / variance).mean()
    return float(ratio - 1) / math.sqrt(2.1 / ours.vector.numel())  # 2, and what kurtosis adds at 50 seeds


def _rank_differences(pairs: list[tuple[TensorSample, TensorSample]]) -> Iterator[float]:
    sizes = torch.stack([ours.rank_sizes * len(ours.kept) for ours, _ in pairs]).sum(0)
    first = torch.stack([ours.by_rank for ours, _ in pairs]).sum(0) / sizes
    second = torch.stack([theirs.by_rank for _, theirs in pairs]).sum(0) / sizes
    share = (first + second) / 2
    yield from ((first - second) / (2 * share * (1 - share) / sizes).sqrt()).tolist()
