"""Fronts on held-out examples: equal ones do not differ, dominated ones do, and the draws are always the same."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search.front_comparison import Draws, FrontComparison, JudgedFront, compare_fronts, mean_volume

N_REFUSAL, N_ACCURACY = 60, 40
PAIRS = ((0.9, 0.2), (0.6, 0.6), (0.2, 0.9))


def front(*rates: tuple[float, float], seed: int = 0) -> JudgedFront:
    """Points with about these shares of ones."""
    rng = np.random.default_rng(seed)
    uniform = rng.random((len(rates), N_REFUSAL)), rng.random((len(rates), N_ACCURACY))
    refusal, accuracy = np.array(rates).T
    return JudgedFront(((uniform[0] < refusal[:, None]).astype(float), (uniform[1] < accuracy[:, None]).astype(float)))


def sampled(*rates: tuple[float, float], n_seeds: int = 3, first: int = 0) -> dict[int, JudgedFront]:
    return {seed: front(*rates, seed=first + seed) for seed in range(n_seeds)}


def less(judged: JudgedFront, share: float) -> JudgedFront:
    """The same without the last examples' ones: each point is dominated by what it was."""
    kept = [np.arange(n) < share * n for n in judged.n_examples]
    return JudgedFront((judged.scores[0] * kept[0], judged.scores[1] * kept[1]))


def test_perfect_answers_have_all_the_volume() -> None:
    ones = JudgedFront((np.ones((1, 5)), np.ones((1, 3))))
    assert ones.volume == 1.0
    assert JudgedFront((np.ones((1, 5)), np.zeros((1, 3)))).volume == 0.0


def test_equal_fronts_do_not_differ() -> None:
    ours = sampled(*PAIRS)
    assert compare_fronts(ours, sampled(*PAIRS)) == FrontComparison(0.0, 0.0, 0.0, 1.0)


def test_the_order_of_the_points_is_of_no_importance() -> None:
    ours = sampled(*PAIRS)
    turned = {seed: JudgedFront((f.scores[0][::-1], f.scores[1][::-1])) for seed, f in ours.items()}
    assert compare_fronts(ours, turned).p_value == 1.0


def test_a_dominated_front_is_told_from_chance() -> None:
    ours = sampled(*PAIRS)
    found = compare_fronts(ours, {seed: less(f, 0.5) for seed, f in ours.items()})
    assert found.p_value < 0.001
    assert 0 < found.low < found.difference < found.high


def test_two_draws_of_the_same_rates_are_not() -> None:
    assert compare_fronts(sampled(*PAIRS), sampled(*PAIRS, first=10)).p_value > 0.05


def test_the_other_way_round_is_the_mirror_image() -> None:
    ours, theirs = sampled(*PAIRS), sampled((0.7, 0.5), (0.4, 0.6), first=10)
    there, back = compare_fronts(ours, theirs), compare_fronts(theirs, ours)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p_value == there.p_value


def test_the_same_draws_every_time() -> None:
    ours, theirs = sampled(*PAIRS), sampled((0.7, 0.5), (0.4, 0.6), first=10)
    assert compare_fronts(ours, theirs) == compare_fronts(ours, theirs)
    other = Draws.of((N_REFUSAL, N_ACCURACY), 3, seed=1)
    assert not np.array_equal(Draws.of((N_REFUSAL, N_ACCURACY), 3).examples[0], other.examples[0])


def test_the_difference_is_that_of_the_means() -> None:
    ours, theirs = sampled(*PAIRS), sampled((0.7, 0.5), first=10)
    assert compare_fronts(ours, theirs).difference == pytest.approx(mean_volume(ours) - mean_volume(theirs))


def test_the_interval_holds_0_unless_p_is_small() -> None:
    ours = sampled(*PAIRS)
    for share in (0.5, 0.8, 0.9, 0.95, 1.0):
        found = compare_fronts(ours, {seed: less(f, share) for seed, f in ours.items()})
        assert (found.low > 0 or found.high < 0) == (found.p_value <= 0.05)


def test_seeds_that_disagree_widen_the_interval() -> None:
    ours = dict.fromkeys(range(4), front(*PAIRS))
    steady = dict.fromkeys(range(4), less(ours[0], 0.7))
    torn = {seed: less(ours[0], 0.4 if seed % 2 else 1.0) for seed in range(4)}
    wide, narrow = compare_fronts(ours, torn), compare_fronts(ours, steady)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_drawn_volumes_are_hypervolumes_of_the_drawn_examples() -> None:
    judged, draws = front(*PAIRS), Draws.of((N_REFUSAL, N_ACCURACY), 1)
    volumes = judged.drawn_volumes(draws)
    for draw in range(5):
        repeats = [np.rint(shares[draw] * shares.shape[1]).astype(int) for shares in draws.examples]
        drawn = [np.repeat(matrix, times, axis=1) for matrix, times in zip(judged.scores, repeats, strict=True)]
        assert volumes[draw] == pytest.approx(JudgedFront((drawn[0], drawn[1])).volume)


def test_only_the_same_seeds_are_compared() -> None:
    ours, theirs = sampled(*PAIRS), sampled(*PAIRS, n_seeds=1)
    assert compare_fronts(ours, theirs).p_value == 1.0
    with pytest.raises(ValueError, match=r"the same seeds, but got \[0\] and \[7\]"):
        compare_fronts(theirs, {7: front(*PAIRS)})


def test_only_the_same_examples_are_compared() -> None:
    fewer = JudgedFront((np.ones((1, 5)), np.ones((1, 3))))
    with pytest.raises(ValueError, match=r"the same examples, but were judged on \[\(5, 3\), \(60, 40\)\]"):
        compare_fronts({0: front(*PAIRS)}, {0: fewer})


def test_measures_must_be_of_the_same_points() -> None:
    with pytest.raises(ValueError, match=r"the same points by both measures.* got \(2, 5\) and \(1, 3\)"):
        JudgedFront((np.ones((2, 5)), np.ones((1, 3))))
