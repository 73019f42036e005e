"""MAP's fit against functions that it can represent, and its front against one that is known."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.samplers.map_surrogate import fit_quadratic, next_on_front, quadratic_terms

Points = NDArray[np.float64]

SPACE: dict[str, BaseDistribution] = {
    f"{model}/layer.{i}/weight": FloatDistribution(0.0, 2.0) for model in ("chat", "medical") for i in range(3)
}
N_DESIGN = 3 * 4
# Each objective has its best merge: the front is the line between the two.
BEST = np.array([[0.4, 1.6], [1.6, 0.8]])


def values_of(weights: Points) -> list[float]:
    return [-float(((weights - best) ** 2).sum()) for best in BEST]


def weights_of(params: dict[str, float]) -> Points:
    return np.array([params[f"{model}/layer.0/weight"] for model in ("chat", "medical")])


def driven(n_trials: int, n_landmarks: int = 0) -> list[Points]:
    sampler = TrialSeededSampler(SAMPLERS["map"], 3, SearchShape(len(SPACE), 2, n_trials), SPACE)
    study = optuna.create_study(directions=["maximize"] * 2, sampler=sampler)
    for i in range(n_landmarks):
        study.enqueue_trial(dict.fromkeys(SPACE, i / n_landmarks))
    for _ in range(n_trials):
        trial = study.ask(SPACE)
        study.tell(trial, values_of(weights_of(trial.params)))
    return [weights_of(trial.params) for trial in study.trials]


def distance_from_front(weights: Points) -> float:
    start, direction = BEST[0], BEST[1] - BEST[0]
    share = np.clip((weights - start) @ direction / (direction @ direction), 0.0, 1.0)
    return float(np.linalg.norm(weights - start - share * direction))


@pytest.mark.parametrize("n_weights", [1, 2, 5])
def test_fits_any_quadratic(n_weights: int) -> None:
    rng = np.random.default_rng(n_weights)
    points = rng.random((60, n_weights))
    coefficients = rng.normal(size=(quadratic_terms(points).shape[1], 2))
    assert coefficients.shape[0] == (n_weights + 1) * (n_weights + 2) // 2
    assert fit_quadratic(points, quadratic_terms(points) @ coefficients) == pytest.approx(coefficients, abs=1e-9)


def test_all_groups_have_one_weight() -> None:
    sampler = TrialSeededSampler(SAMPLERS["map"], 3, SearchShape(len(SPACE), 2, 9), SPACE)
    params = optuna.create_study(directions=["maximize"] * 2, sampler=sampler).ask(SPACE).params
    assert len(set(params.values())) == 2


def test_the_design_is_spread_over_the_box() -> None:
    design = np.array(driven(N_DESIGN))
    gaps = np.linalg.norm(design[:, None] - design, axis=2) + 9 * np.eye(N_DESIGN)
    # Twelve points on a square of side 2, of which a lattice would have gaps of 2 / 3; random ones of about 0.1.
    assert gaps.min() > 0.45


def test_after_the_design_every_trial_is_on_the_front() -> None:
    trials = driven(N_DESIGN + 12)
    assert max(distance_from_front(weights) for weights in trials[N_DESIGN:]) < 0.1
    assert np.mean([distance_from_front(weights) for weights in trials[:N_DESIGN]]) > 0.3


def test_the_front_is_covered_from_end_to_end() -> None:
    found = driven(N_DESIGN + 12)[N_DESIGN:]
    along = np.sort([(weights - BEST[0]) @ (BEST[1] - BEST[0]) for weights in found]) / ((BEST[1] - BEST[0]) ** 2).sum()
    assert np.diff([0.0, *along, 1.0]).max() < 0.25


def test_landmarks_count_for_the_design() -> None:
    trials = driven(N_DESIGN + 3, n_landmarks=3)
    assert max(distance_from_front(weights) for weights in trials[N_DESIGN:]) < 0.1


def test_what_was_tried_on_the_whole_front_leads_away_from_it() -> None:
    known = np.random.default_rng(0).random((8, 1))
    drawn = np.linspace(0.05, 1.0, 20)[:, None]
    # One objective that grows with the weight: the fitted front is the last of the drawn points alone.
    tried = np.vstack([known, [[1.0]]])
    chosen = next_on_front(drawn, known, 2 * known, tried)
    assert chosen != pytest.approx(1.0)
