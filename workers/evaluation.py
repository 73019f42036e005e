"""What comes back from a worker: scores and timings, or a failure with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from statistics import stdev

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from search_spaces.merge_recipe import Coefficients


class FailureReason(StrEnum):
    """Why a candidate has no scores."""

    ZERO_WEIGHTS = "zero_weights"
    NON_FINITE_SCORE = "non_finite_score"
    MISSING_SCORE = "missing_score"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_LOST = "worker_lost"
    DRIVER_LOST = "driver_lost"
    TIMEOUT = "timeout"
    STOPPED_EARLY = "stopped_early"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Score:
    """One measure of one candidate; higher is better.

    Args:
        value: the mean over the examples.
        standard_error: of that mean; None for a single example.
        n: how many examples.
        per_example: each example's own score, in the set's order.
    """

    value: float
    standard_error: float | None
    n: int
    per_example: tuple[float, ...]

    @classmethod
    def mean_of(cls, per_example: Sequence[float]) -> Score:
        """The mean of independent examples and its standard error."""
        n = len(per_example)
        error = stdev(per_example) / math.sqrt(n) if n > 1 and all(map(math.isfinite, per_example)) else None
        return cls(sum(per_example) / n, error, n, tuple(per_example))


@dataclass(frozen=True, slots=True)
class Rival:
    """A trial of the front, as a candidate races against it.

    Args:
        scores: measure → score on the whole set, with each example's own.
    """

    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class GradientRequest:
    """Of which measures gradients are wanted.

    Args:
        measures: differentiable ones, among those that are scored.
        share: of each set's examples, how many the backward pass goes over; scores are of all of them.
        seed: decides which.

    Raises:
        SpecificationError: a share that cannot be.
    """

    measures: tuple[str, ...]
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise SpecificationError(f"`share` of a gradient must be in (0, 1], but got {self.share}.")

    @property
    def cost(self) -> float:
        """In evaluation-equivalents: a backward pass costs two forward passes."""
        return 1 + 2 * self.share

    def part(self, measure: str, n: int) -> frozenset[int]:
        """Which of a set's `n` examples the backward pass goes over; at least one."""
        if self.share == 1:
            return frozenset(range(n))
        size = max(1, int(self.share * n))
        return frozenset(Random(f"{self.seed}/{measure}").sample(range(n), size))


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is asked to do with one candidate.

    Args:
        recipe: the candidate.
        measures: the names of the measures to score.
        prompts: to be answered greedily.
        rivals: whom the candidate races against (see `workers.racing`); without any it is scored whole, at once.
        gradient: of what gradients are wanted besides; a candidate of which any are races against nobody.
        look: of a candidate that is scored shard by shard (see `workers.racing.shards`), which one is wanted now.
    """

    recipe: MergeRecipe
    measures: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    rivals: tuple[Rival, ...] = ()
    gradient: GradientRequest | None = None
    look: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished candidate.

    Args:
        scores: measure → score; empty after a failure.
        make_s: seconds to write the merged weights.
        score_s: seconds to score them.
        answers: to the assignment's prompts.
        failure: the reason, or None.
        message: of the failure, for a person.
        share: of the sets' examples, how many were scored; below 1 where a race was stopped, and its scores are
            estimates, or where one look was asked for.
        gradients: measure → owner → group → parameter → d score / d parameter, as in `MergeRecipe.coefficients`; of
            the parameters that have one.
        gradient_failure: why there are none although they were asked for; the scores stay valid.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    make_s: float = 0.0
    score_s: float = 0.0
    answers: tuple[str, ...] = ()
    failure: FailureReason | None = None
    message: str = ""
    share: float = 1.0
    gradients: Mapping[str, Coefficients] = field(default_factory=dict)
    gradient_failure: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it has scores."""
        return self.failure is None

    @property
    def is_whole(self) -> bool:
        """Whether its scores are those of whole sets, and no estimates."""
        return self.succeeded and self.share == 1.0
