"""Races over made-up scores: who is stopped, who is not, and what is told of those who are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.evaluation import Rival, Score
from workers.racing import ERROR_RATE, MIN_EXAMPLES, SHARES, TIE, RaceResult, estimate, is_beyond_doubt, race, shards

Examples = Mapping[str, Sequence[float] | NDArray[np.float64]]

N = 400
LEVEL = ERROR_RATE / 24


def rival_of(examples: Examples) -> Rival:
    return Rival({measure: Score.mean_of([float(x) for x in scores]) for measure, scores in examples.items()})


def raced(candidate: Examples, *rivals: Examples) -> RaceResult:
    """The race of a candidate whose scores are known."""
    sizes = {measure: len(scores) for measure, scores in candidate.items()}

    def score_shard(measure: str, shard: int) -> list[float]:
        return [float(candidate[measure][index]) for index in shards(sizes[measure])[shard]]

    return race(sizes, [rival_of(rival) for rival in rivals], score_shard)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def two_measures(rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    return {"a": rng.normal(0, 1, N), "b": rng.normal(0, 1, N)}


def worse(examples: Mapping[str, NDArray[np.float64]], by: float, rng: np.random.Generator) -> Examples:
    return {measure: scores - by + rng.normal(0, 0.3, len(scores)) for measure, scores in examples.items()}


def centred(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(scores - scores.mean())


# ---- shards -------------------------------------------------------------------------------------


@given(st.integers(1, 3000))
def test_shards_partition_the_set(n: int) -> None:
    parts = shards(n)
    assert len(parts) == len(SHARES)
    assert sorted(index for part in parts for index in part) == list(range(n))
    seen = np.cumsum([len(part) for part in parts])
    assert list(seen) == [min(n, max(math.ceil(share * n), MIN_EXAMPLES)) for share in SHARES]


@given(st.integers(16, 200))
def test_every_shard_is_spread_over_the_set(n_blocks: int) -> None:
    # One, one, two and four of every eight neighbours.
    for part, each in zip(shards(8 * n_blocks), (1, 1, 2, 4), strict=True):
        assert np.bincount(np.array(part) // 8, minlength=n_blocks).tolist() == [each] * n_blocks


def test_shards_do_not_fall_into_step_with_a_set() -> None:
    # A set that repeats every eight examples, as one made from eight templates does.
    kinds = np.bincount(np.array(shards(1600)[0]) % 8, minlength=8)
    assert kinds.sum() == 200
    assert kinds.min() > 10


def test_a_small_set_is_seen_whole_at_the_first_look() -> None:
    assert [len(part) for part in shards(MIN_EXAMPLES)] == [MIN_EXAMPLES, 0, 0, 0]


# ---- the test -----------------------------------------------------------------------------------


def test_few_examples_that_agree_are_no_proof() -> None:
    assert not is_beyond_doubt(np.ones(MIN_EXAMPLES - 1), 1000, LEVEL)
    assert not is_beyond_doubt(np.ones(MIN_EXAMPLES), 1000, LEVEL)
    assert is_beyond_doubt(np.ones(100), 1000, LEVEL)


def test_equal_scores_are_never_beyond_doubt() -> None:
    for n_seen in (16, 50, 100):
        assert not is_beyond_doubt(np.zeros(n_seen), 100, LEVEL)
        assert not is_beyond_doubt(np.full(n_seen, TIE / 2), 100, LEVEL)


def test_nothing_is_in_doubt_that_was_seen_whole() -> None:
    assert is_beyond_doubt(np.array([3.0, -2.0]), 2, LEVEL)
    assert not is_beyond_doubt(np.array([2.0, -3.0]), 2, LEVEL)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=16, max_size=60), st.integers(2, 10))
def test_only_a_positive_mean_is_beyond_doubt(differences: list[float], factor: int) -> None:
    found, n = np.array(differences), factor * len(differences)
    if is_beyond_doubt(found, n, LEVEL):
        assert found.mean() > 0
        assert not is_beyond_doubt(-found, n, LEVEL)
        assert is_beyond_doubt(found, n, 10 * LEVEL)


@pytest.mark.parametrize("n", [16, 25, 50])
@pytest.mark.parametrize(("kind", "factor"), [("normal", 1), ("heavy-tailed", 1), ("two-valued", 1), ("skewed", 3)])
def test_the_level_holds(kind: str, factor: int, n: int, rng: np.random.Generator) -> None:
    draw: dict[str, Callable[[], Any]] = {
        "normal": lambda: rng.normal(0, 1, n),
        "heavy-tailed": lambda: rng.standard_t(3, n),
        "two-valued": lambda: rng.integers(0, 2, n) * 2.0 - 1.0,
        # Most examples speak a little for the rival, a rare one loudly for the candidate.
        "skewed": lambda: 1 - rng.exponential(1, n),
    }
    level = 0.01  # large enough to be counted
    n_wrong = sum(is_beyond_doubt(draw[kind](), 100 * n, level) for _ in range(3000))
    assert n_wrong <= factor * 30 + 3 * math.sqrt(factor * 30)


# ---- the race -----------------------------------------------------------------------------------


def test_one_that_is_worse_in_everything_is_stopped_at_the_first_look(rng: np.random.Generator) -> None:
    rival = two_measures(rng)
    result = raced(worse(rival, 0.5, rng), rival)
    assert result.share == 1 / 8
    assert all((score.n, score.per_example) == (N / 8, ()) for score in result.scores.values())


def test_the_less_it_is_worse_the_longer_it_runs(rng: np.random.Generator) -> None:
    rival = two_measures(rng)
    shares = [raced(worse(rival, by, rng), rival).share for by in (0.5, 0.15, 0.1, 0.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1 / 8, 1.0)


def test_one_rival_must_be_better_in_everything(rng: np.random.Generator) -> None:
    candidate = two_measures(rng)
    one = {"a": candidate["a"] + 1, "b": candidate["b"] - 1}
    other = {"a": candidate["a"] - 1, "b": candidate["b"] + 1}
    assert raced(candidate, one, other).share == 1.0
    both = {measure: scores + 1 + rng.normal(0, 0.1, N) for measure, scores in candidate.items()}
    assert raced(candidate, one, other, both).share == 1 / 8


@pytest.mark.parametrize("ahead", [0.0, 0.02])
def test_one_that_is_as_good_in_one_measure_is_not_stopped(ahead: float, rng: np.random.Generator) -> None:
    n_stopped = 0
    for _ in range(300):
        shared = rng.normal(0, 1, N)
        rivals = [{"a": rng.normal(3, 1, N), "b": centred(shared + rng.normal(0, 0.3, N))} for _ in range(8)]
        # Far behind all of them in one measure, and level with them in the other, or a little ahead.
        candidate = {"a": rng.normal(0, 1, N), "b": centred(shared + rng.normal(0, 0.3, N)) + ahead}
        n_stopped += raced(candidate, *rivals).share < 1
    # 300 at 1e-3: two or more would come about in one of 30 such tests.
    assert n_stopped <= 1


def test_a_copy_of_a_rival_is_not_stopped(rng: np.random.Generator) -> None:
    rival = two_measures(rng)
    rounded = {measure: scores - 1e-6 * rng.random(N) for measure, scores in rival.items()}
    assert raced(rival, rival).share == raced(rounded, rival).share == 1.0


def test_scores_of_0_and_1() -> None:
    rng = np.random.default_rng(1)
    rival, candidate = (
        {"a": rng.binomial(1, a, N).astype(float), "b": rng.binomial(1, b, N).astype(float)}
        for a, b in ((0.9, 0.8), (0.2, 0.3))
    )
    assert raced(candidate, rival).share < 1
    assert raced(rival, candidate).share == 1.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_whoever_is_not_stopped_has_its_scores_in_order(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    candidate = {f"m{i}": rng.normal(0, 1, n).tolist() for i, n in enumerate(sizes)}
    better_in_one = {m: [x - 1 if m == "m0" else x + 1 for x in scores] for m, scores in candidate.items()}
    for rivals in ((), (better_in_one,)):
        result = raced(candidate, *rivals)
        assert result == RaceResult({m: Score.mean_of(scores) for m, scores in candidate.items()}, 1.0)


def test_small_sets_are_settled_by_their_values(rng: np.random.Generator) -> None:
    rival = {"small": rng.normal(0, 1, 5), "large": rng.normal(0, 1, 1000)}
    behind = {"small": rival["small"] - 1e-3, "large": rival["large"] - 1 + rng.normal(0, 0.1, 1000)}
    result = raced(behind, rival)
    assert result.share == (5 + 125) / 1005
    assert result.scores["small"].value == pytest.approx(behind["small"].mean())
    ahead = {**behind, "small": rival["small"] + 1e-3}
    assert raced(ahead, rival).share == 1.0


def test_nothing_is_saved_where_all_sets_are_small() -> None:
    assert raced({"a": [0.0] * 10}, {"a": [1.0] * 10}).share == 1.0


# ---- the estimate -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2), st.floats(0.01, 1))
def test_whoever_is_stopped_is_dominated_by_a_rival(seed: int, by: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    rivals = [two_measures(rng) for _ in range(3)]
    candidate = {m: scores - by + rng.normal(0, noise, N) for m, scores in rivals[1].items()}
    result = raced(candidate, *rivals)
    if result.share < 1:
        values = {m: score.value for m, score in result.scores.items()}
        assert any(all(rival_of(r).scores[m].value > value for m, value in values.items()) for r in rivals)


def test_estimates_are_right_on_average_and_as_wrong_as_they_say(rng: np.random.Generator) -> None:
    errors, claimed, plain = [], [], []
    for _ in range(2000):
        difficulty, n = rng.normal(0, 1, 240), 30
        rival, candidate = difficulty + rng.normal(0, 0.2, 240), difficulty - 0.5 + rng.normal(0, 0.2, 240)
        seen = {int(i): float(candidate[i]) for i in rng.choice(240, n, replace=False)}
        found = estimate(Score.mean_of([float(x) for x in rival]), seen)
        assert found.standard_error is not None
        errors.append(found.value + 0.5)  # of the population that the examples come from
        claimed.append(found.standard_error)
        plain.append(np.mean(list(seen.values())) + 0.5)
    assert np.mean(errors) == pytest.approx(0, abs=3 * float(np.std(errors)) / math.sqrt(2000))
    assert np.std(errors) == pytest.approx(np.mean(claimed), rel=0.05)
    # Half as wrong as the mean of the same examples.
    assert np.std(errors) < 0.5 * np.std(plain)


def test_the_estimate_of_a_whole_set_is_its_score(rng: np.random.Generator) -> None:
    rival, candidate = (Score.mean_of(rng.normal(0, 1, 20).tolist()) for _ in range(2))
    found = estimate(rival, dict(enumerate(candidate.per_example)))
    assert (found.value, found.standard_error) == pytest.approx((candidate.value, candidate.standard_error))


def test_one_example_has_no_standard_error() -> None:
    assert estimate(Score(1.0, None, 1, (1.0,)), {0: 0.25}) == Score(0.25, None, 1, ())
