"""What random masks did to task vectors, over many seeds, and whether two tools do the same to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
        l1: for each seed the merged task vector's L1 norm, over the task vector's own.
        kept_l1: that of what is kept, before it is rescaled.
        total: the sum of the merged task vectors.
        by_rank: how often the elements of each tenth were kept, tenths by magnitude within their row, smallest first.
        bins: the tenth to which each element belongs.
    """

    vector: Tensor
    kept: list[float] = field(default_factory=list)
    l1: list[float] = field(default_factory=list)
    kept_l1: list[float] = field(default_factory=list)
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
        whole = self.vector.double().abs().sum()
        self.l1.append(float(merged.double().abs().sum() / whole))
        self.kept_l1.append(float((self.vector * mask).double().abs().sum() / whole))
        self.total += merged
        self.by_rank += torch.bincount(self.bins[mask], minlength=N_BINS)


class MaskSample:
    """All tensors of a merge whose weights are 1.

    Args:
        base: the base's tensors.
        experts: the tensors of each expert.
    """

    def __init__(self, base: Mapping[str, Tensor], experts: Sequence[Mapping[str, Tensor]]) -> None:
        self.base = {name: _rows(tensor) for name, tensor in base.items()}
        self.is_lone = len(experts) == 1
        self.tensors = {
            name: TensorSample(sum((_rows(expert[name]) - rows for expert in experts), torch.zeros_like(rows)))
            for name, rows in self.base.items()
        }

    def add(self, merged: Mapping[str, Tensor]) -> None:
        """One seed's merged model."""
        for name, sample in self.tensors.items():
            sample.add(_rows(merged[name]) - self.base[name])


def _rows(tensor: Tensor) -> Tensor:
    return tensor.detach().float().reshape(-1, tensor.shape[-1])


@dataclass(frozen=True, slots=True)
class KeptShares:
    """What is stored of a sample: how much of the task vectors is kept.

    Args:
        n_seeds: of the sample.
        by_tensor: name → mean over the seeds, and standard deviation.
        by_rank: share of each tenth, by magnitude within the row, smallest first.
    """

    n_seeds: int
    by_tensor: Mapping[str, tuple[float, float]]
    by_rank: tuple[float, ...]

    @classmethod
    def of(cls, sample: MaskSample) -> KeptShares:
        """Of all tensors."""
        kept = {name: torch.tensor(t.kept, dtype=torch.float64) for name, t in sample.tensors.items()}
        return cls(
            n_seeds=len(next(iter(kept.values()))),
            by_tensor={name: (float(shares.mean()), float(shares.std())) for name, shares in kept.items()},
            by_rank=tuple(_by_rank(list(sample.tensors.values()))[0].tolist()),
        )


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


def compare_masks(ours: MaskSample, theirs: MaskSample, rescaled: bool) -> Iterator[Comparison]:
    """Kept shares and norms, and how they spread; of a lone expert also rescaling, expectation, and shares by rank.

    Args:
        ours: of one tool.
        theirs: of the other, over the same models.
        rescaled: what is kept of a task vector has the L1 norm of all of it.
    """
    pairs = [(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors]
    yield _worst("kept share", (mean_difference(a.kept, b.kept) for a, b in pairs))
    yield _worst("its spread over seeds", (_spread_difference(a.kept, b.kept) for a, b in pairs))
    if not ours.is_lone:
        # Of what several experts share, the norm is random in either case.
        yield _worst("L1 norm", (mean_difference(a.l1, b.l1) for a, b in pairs))
        yield _worst("its spread over seeds", (_spread_difference(a.l1, b.l1) for a, b in pairs))
        return
    deviations = [_norm_deviation(norms, rescaled) for a, _ in pairs for norms in zip(a.l1, a.kept_l1, strict=True)]
    yield Comparison("L1 norm, every seed", len(deviations), max(deviations), MAX_L1_DEVIATION, "of itself")
    yield _worst("expectation of every element", (_expectation_difference(a, b) for a, b in pairs))
    yield _worst("kept share by rank in the row", _rank_differences(pairs))


def _norm_deviation(norms: tuple[float, float], rescaled: bool) -> float:
    found, kept = norms
    return abs(found / (1.0 if rescaled else kept) - 1)


def _worst(words: str, differences: Iterator[float]) -> Comparison:
    found = [abs(difference) for difference in differences]
    return Comparison(words, len(found), max(found))


def compare_shares(ours: MaskSample, stored: KeptShares) -> Iterator[Comparison]:
    """A sample of a lone expert against what is stored of another tool's."""
    here = KeptShares.of(ours)
    n = (here.n_seeds, stored.n_seeds)
    pairs = [(here.by_tensor[name], stored.by_tensor[name]) for name in stored.by_tensor]
    yield _worst("kept share", (_in_errors(a[0] - b[0], (a[1], b[1]), n) for a, b in pairs))
    sizes = _by_rank(list(ours.tensors.values()))[1]
    ranks = zip(here.by_rank, stored.by_rank, (sizes / here.n_seeds).tolist(), strict=True)
    yield _worst(
        "kept share by rank in the row",
        (_in_errors(a - b, (_bernoulli(a, b),) * 2, (n[0] * k, n[1] * k)) for a, b, k in ranks),
    )
    deviations = [abs(norm - 1) for tensor in ours.tensors.values() for norm in tensor.l1]
    yield Comparison("L1 norm, every seed", len(deviations), max(deviations), MAX_L1_DEVIATION, "of itself")


def _bernoulli(first: float, second: float) -> float:
    """The standard deviation of being kept."""
    share = (first + second) / 2
    return math.sqrt(share * (1 - share))


def _in_errors(difference: float, deviations: tuple[float, float], sizes: tuple[float, float]) -> float:
    """A difference of two means as a multiple of its standard error."""
    error = math.hypot(*(deviation / math.sqrt(size) for deviation, size in zip(deviations, sizes, strict=True)))
    return difference / error if error else math.copysign(math.inf, difference) if difference else 0.0


def mean_difference(first: list[float], second: list[float]) -> float:
    """Between two means, in standard errors of it."""
    a, b = torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)
    return _in_errors(float(a.mean() - b.mean()), (float(a.std()), float(b.std())), (len(a), len(b)))


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
    (ours, sizes), (theirs, _) = (_by_rank([pair[i] for pair in pairs]) for i in (0, 1))
    for a, b, n in zip(ours.tolist(), theirs.tolist(), sizes.tolist(), strict=True):
        yield _in_errors(a - b, (_bernoulli(a, b),) * 2, (n, n))


def _by_rank(tensors: list[TensorSample]) -> tuple[Tensor, Tensor]:
    """The kept share of each tenth, and over how many elements of all seeds."""
    sizes = torch.stack([tensor.rank_sizes * len(tensor.kept) for tensor in tensors]).sum(0)
    return torch.stack([tensor.by_rank for tensor in tensors]).sum(0) / sizes, sizes
