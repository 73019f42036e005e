"""Racing: score a candidate on growing shards, and stop it when a rival beats it in everything beyond doubt.

A race goes over the same examples for all: after each look but the last, a candidate that one rival beats in every
objective, by the paired differences on the examples seen so far, is stopped. What it would have scored on the whole
set is then estimated from that rival, whose whole score is known:

    estimate = rival's value on the whole set - mean of (rival - candidate) on the examples seen

which is unbiased over the choice of the shards and, wherever the two agree on what is hard, varies less than the mean
of the examples seen (the rival is a control variate). By construction the rival dominates it: no estimate is ever on a
front. Racing goes back to Maron and Moore 1994 ("Hoeffding Races"); pairing on the same examples and the family-wise
level are those of F-Race (Birattari et al. 2002).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from workers.evaluation import Rival, Score

# Of each set, at each look; looks double, so that a candidate that must be seen whole costs four batches and not eight.
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
# The probability that a candidate is stopped which would not have been dominated on the whole sets; all looks and
# rivals together (Bonferroni).
ERROR_RATE = 1e-3
# A candidate that is no worse loses each of n examples with one chance in two: with 14 or fewer, not even losing all of
# them (2⁻¹⁴) is rarer than 3 looks at 8 rivals allow for each.
MIN_EXAMPLES = 16
# Batches of other shapes move a float32 score by about 1e-6. What differs less than this is a tie.
TIE = 1e-5

# A shard takes one, one, two and four of every eight neighbours.
_BLOCK = 8
_SEED = 0

# Measure and number of the shard → the scores of the shard's examples.
ScoreShard = Callable[[str, int], Sequence[float]]


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How a candidate fared.

    Args:
        scores: measure → score; of a stopped candidate the estimates, without examples.
        share: of all examples, how many were scored; below 1 for a stopped candidate only.
    """

    scores: Mapping[str, Score]
    share: float


@lru_cache(maxsize=64)
def shards(n: int) -> tuple[tuple[int, ...], ...]:
    """Which examples of a set each look adds; a partition of `range(n)`, always the same.

    Of every eight neighbours the first shard takes one at random, the second another, and so on: each is spread over
    the whole set, also where that is sorted, and falls into step with nothing that repeats in it. A set of which an
    eighth is fewer than `MIN_EXAMPLES` gives that many at the first look, and a smaller set all that it has.

    Args:
        n: examples of the set.

    Returns:
        As many tuples of ascending indices as there are looks; later ones may be empty.
    """
    order = _interleaved(n)
    ends = [0, *(min(n, max(math.ceil(share * n), MIN_EXAMPLES)) for share in SHARES)]
    return tuple(tuple(sorted(order[start:end])) for start, end in pairwise(ends))


def _interleaved(n: int) -> list[int]:
    random = Random(_SEED)
    place: dict[int, tuple[int, float]] = {}
    for start in range(0, n, _BLOCK):
        # The last block is filled up with examples that do not exist: else it would be drawn from too often.
        drawn = sorted((random.random(), index) for index in range(start, start + _BLOCK))
        place |= {index: (rank, random.random()) for rank, (_, index) in enumerate(drawn)}
    return sorted(range(n), key=place.__getitem__)


def race(sizes: Mapping[str, int], rivals: Sequence[Rival], score_shard: ScoreShard) -> RaceResult:
    """Score a candidate shard by shard, until it is beaten or whole.

    Args:
        sizes: measure → examples of its set.
        rivals: each with scores of whole sets for all of the measures.
        score_shard: scores one shard; what it raises is passed on.

    Returns:
        A candidate that was not stopped has its scores in the sets' order, as if they had been taken at once.
    """
    n_examples = sum(sizes.values())
    seen: dict[str, dict[int, float]] = {measure: {} for measure in sizes}
    for look in range(len(SHARES)):
        for measure, n in sizes.items():
            if shard := shards(n)[look]:
                seen[measure].update(zip(shard, score_shard(measure, look), strict=True))
        share = sum(map(len, seen.values())) / n_examples
        if share == 1.0:
            break
        if rival := beaten_by(rivals, seen):
            return RaceResult({measure: estimate(rival.scores[measure], seen[measure]) for measure in sizes}, share)
    return RaceResult({m: Score.mean_of([seen[m][i] for i in range(n)]) for m, n in sizes.items()}, 1.0)


def beaten_by(rivals: Sequence[Rival], seen: Mapping[str, Mapping[int, float]]) -> Rival | None:
    """The first rival that beats a candidate in every measure beyond doubt.

    That all of them must agree makes each test one at the full level: whichever measure the candidate is good in, its
    own test is the one that must fail for it to be stopped wrongly.

    Args:
        rivals: at most so many are tried at each look, which the level takes into account.
        seen: measure → index in the set → the candidate's score.
    """
    level = ERROR_RATE / (len(rivals) * (len(SHARES) - 1)) if rivals else 0.0
    for rival in rivals:
        if all(
            is_beyond_doubt(_differences(rival.scores[measure], scores), rival.scores[measure].n, level)
            for measure, scores in seen.items()
        ):
            return rival
    return None


def is_beyond_doubt(differences: NDArray[np.float64], n: int, level: float) -> bool:
    """Whether the mean difference over a whole set must be above 0, judged by a part of it.

    A one-sided t-test with the correction for a finite set, made wary of two things that scores do:

    - Few examples may all say the same, as scores of 0 and 1 do. They have no standard error, but are no proof: one
      more is counted, that says the contrary with the average loudness.
    - Most examples may speak a little for the rival and a rare one loudly for the candidate, so that a part without
      such a one deceives. Hall's transformation (1992, "On the removal of skewness by transformation") takes
      the skewness out of t; the opposite one, which would make the test bolder, is left alone.

    The level holds for normal, heavy-tailed and two-valued differences, and within a factor of three for those as
    skewed as an exponential's. Where one example in a hundred outweighs all others, no test of a part can know.

    Args:
        differences: of the examples seen.
        n: examples of the whole set; if all were seen, nothing is left to doubt.
        level: the probability of a yes where the mean is 0.
    """
    n_seen = len(differences)
    if n_seen >= n:
        return bool(differences.mean() > TIE)
    if n_seen < MIN_EXAMPLES:
        return False
    guarded = np.append(differences, -np.abs(differences).mean())
    mean, deviation = float(guarded.mean()), float(guarded.std(ddof=1))
    if mean <= TIE:
        return False
    t = mean / deviation * math.sqrt(len(guarded) / (1 - n_seen / n))
    skewness = min(0.0, float((((guarded - mean) / deviation) ** 3).mean()))
    return _without_skewness(t, skewness, len(guarded)) > _quantile(n_seen - 1, level)


def _without_skewness(t: float, skewness: float, n: int) -> float:
    a = skewness / math.sqrt(n)
    return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6


def estimate(rival: Score, seen: Mapping[int, float]) -> Score:
    """What a candidate would score on the whole set, by a rival that was scored on all of it.

    The error is that which the whole set would have (σ²/N of the candidate's scores), and that of having seen only n of
    its N differences (σ²(1/n - 1/N) of those).

    Args:
        rival: with its examples.
        seen: index in the set → the candidate's score.

    Returns:
        Without examples: those of a part must not be taken for the set's.
    """
    differences, n = _differences(rival, seen), len(seen)
    value = rival.value - float(differences.mean())
    if n < 2:
        return Score(value, None, n, ())
    scores = np.fromiter(seen.values(), np.float64)
    variance = scores.var(ddof=1) / rival.n + differences.var(ddof=1) * (1 / n - 1 / rival.n)
    return Score(value, math.sqrt(variance), n, ())


def _differences(rival: Score, seen: Mapping[int, float]) -> NDArray[np.float64]:
    """Rival - candidate, example by example."""
    return np.array([rival.per_example[index] - score for index, score in seen.items()])


@lru_cache(maxsize=1024)
def _quantile(degrees_of_freedom: int, level: float) -> float:
    """Of Student's t: what it exceeds with this probability."""
    from scipy.special import stdtrit  # half a second that only a race needs

    return -float(stdtrit(degrees_of_freedom, level))
