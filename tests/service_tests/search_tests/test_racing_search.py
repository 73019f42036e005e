"""Searches that race: over a real study, with workers that make up an example's score from the coefficients."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from search_spaces.errors import PoolError, SpecificationError
from service.results import front_json, racing_line
from service.search import PreparedSearch, SearchLoop, SearchProgress
from service.search.selection import front_of
from service.search.session import SearchSession, open_session
from service.studies import FinishedTrial, saved_evaluations
from workers.evaluation import Assignment, Evaluation, Score
from workers.racing import race, shards
from workers.worker_pools import WorkerPool

Prepare = Callable[..., PreparedSearch]
MakePool = Callable[..., Any]

N = 96
SEARCH = {"evaluations": 40, "sampler": "random"}


def examples_of(assignment: Assignment) -> dict[str, list[float]]:
    """Each objective wants another weight of both experts; some examples are harder than others for all."""
    recipe = assignment.recipe
    weights = [values["weight"] for model in recipe.weighed_models for values in recipe.coefficients[model].values()]
    noise = np.random.default_rng(zlib.crc32(repr(weights).encode())).normal(0, 0.05, (2, N))
    difficulty = np.random.default_rng(0).normal(0, 1, (2, N))
    return {
        name: (difficulty[i] + noise[i] - fmean((w - best) ** 2 for w in weights)).tolist()
        for i, (name, best) in enumerate(zip(assignment.measures, (0.3, 0.9), strict=True))
    }


def evaluation_of(assignment: Assignment) -> Evaluation:
    examples = examples_of(assignment)
    whole = {name: Score.mean_of(scores) for name, scores in examples.items()}
    if not assignment.rivals:
        return Evaluation(whole)
    raced = race(
        dict.fromkeys(examples, N),
        assignment.rivals,
        lambda name, shard: [examples[name][index] for index in shards(N)[shard]],
    )
    return Evaluation(raced.scores, share=raced.share)


@pytest.fixture
def make_racing_pool(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> MakePool:
    """As `make_pool`, with a score for every example; `.assigned` has what was asked of it."""

    class RacingPool(make_pool):  # type: ignore[misc, valid-type]
        def __init__(self, n_workers: int = 1, **settings: Any) -> None:
            super().__init__(n_workers, **settings)
            self.assigned: dict[int, Assignment] = {}

        def submit(self, ticket: int, task: Any) -> None:
            self.assigned[ticket] = task
            super().submit(ticket, task)

        def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
            finished: tuple[int, Evaluation] | None = super().next_finished(timeout_s)
            if finished is None or not finished[1].succeeded:
                return finished
            return finished[0], evaluation_of(self.assigned[finished[0]])

    return RacingPool


def run(session: SearchSession, pool: WorkerPool) -> list[SearchProgress]:
    shown: list[SearchProgress] = []
    SearchLoop(session.prepared, session.study, pool, shown.append).run()
    return shown


def searched(prepared: PreparedSearch, pool: Any) -> list[FinishedTrial]:
    with open_session(prepared) as session:
        run(session, pool)
        return session.study.finished_trials()


def named(prepared: PreparedSearch, name: str) -> PreparedSearch:
    """The same search in a study of its own."""
    return replace(prepared, specification=prepared.specification.model_copy(update={"name": name}))


@pytest.fixture
def both(database: str, prepare: Prepare, make_racing_pool: MakePool) -> dict[bool, list[FinishedTrial]]:
    """The trials of one search, without racing and with."""
    found = {}
    for racing in (False, True):
        prepared = prepare(search={**SEARCH, "racing": racing})
        found[racing] = searched(
            named(prepared, f"{prepared.specification.name}-{racing}"), make_racing_pool(1, fails_at=(8,))
        )
    return found


def test_it_is_off_unless_it_is_asked_for(database: str, prepare: Prepare, make_racing_pool: MakePool) -> None:
    pool = make_racing_pool()
    trials = searched(prepare(search=SEARCH), pool)
    assert all(assignment.rivals == () for assignment in pool.assigned.values())
    for trial in trials:
        scores = evaluation_of(pool.assigned[trial.number]).scores
        assert trial.values == tuple(score.value for score in scores.values())
    assert (racing_line(trials, racing=False), saved_evaluations(trials)) == ("", 0.0)


def test_whoever_is_not_stopped_has_the_values_it_would_have(both: dict[bool, list[FinishedTrial]]) -> None:
    n_stopped = 0
    for without, with_it in zip(both[False], both[True], strict=True):
        assert (without.number, without.params, without.failure) == (with_it.number, with_it.params, with_it.failure)
        n_stopped += with_it.was_stopped
        if not with_it.was_stopped:
            assert with_it.values == without.values
    assert 10 < n_stopped < 34


def test_the_front_is_the_same_and_has_no_estimate(both: dict[bool, list[FinishedTrial]]) -> None:
    fronts = [[(trial.number, trial.values) for trial in front_of(both[racing])] for racing in (False, True)]
    assert fronts[0] == fronts[1]
    assert not any(trial.was_stopped for trial in front_of(both[True]))


def test_estimates_are_near_what_a_whole_evaluation_says(both: dict[bool, list[FinishedTrial]]) -> None:
    off = [
        (estimate - value) / error
        for without, with_it in zip(both[False], both[True], strict=True)
        if with_it.was_stopped
        for value, estimate, error in zip(without.values, with_it.values, with_it.standard_errors, strict=True)
        if error is not None
    ]
    assert max(map(abs, off)) < 3


def test_landmarks_are_never_stopped(both: dict[bool, list[FinishedTrial]]) -> None:
    landmarks = [[t.values for t in both[racing] if t.landmark] for racing in (False, True)]
    assert len(landmarks[0]) == 6
    assert landmarks[0] == landmarks[1]


def test_what_was_saved_is_counted(both: dict[bool, list[FinishedTrial]]) -> None:
    trials = both[True]
    stopped = [trial for trial in trials if trial.was_stopped]
    saved = sum(1 - trial.share for trial in stopped)
    found = front_json(trials, ("alignment", "expertise"), None, {})
    assert (found["raced"], found["saved_evaluations"]) == (len(stopped), pytest.approx(saved))
    said = f"Racing stopped {len(stopped)} of 40 candidates early and saved {saved:.1f} evaluation-equivalents."
    assert racing_line(trials, racing=True) == racing_line(trials, racing=False) == said
    assert racing_line(both[False], racing=True).startswith("Racing stopped 0 of 40")


def test_progress_says_what_was_saved(database: str, prepare: Prepare, make_racing_pool: MakePool) -> None:
    with open_session(prepare(search={**SEARCH, "racing": True})) as session:
        shown = run(session, make_racing_pool(3))
        saved = [progress.saved_evaluations for progress in shown]
        assert saved == sorted(saved)
        assert saved[-1] == saved_evaluations(session.study.finished_trials()) > 3


def test_a_stopped_trial_keeps_no_examples(database: str, prepare: Prepare, make_racing_pool: MakePool) -> None:
    with open_session(prepare(search={**SEARCH, "racing": True})) as session:
        run(session, make_racing_pool())
        trials, scores = session.study.finished_trials(), session.study.scores()
        assert {trial.number for trial in trials if not trial.was_stopped} == scores.keys()
        assert all(session.study.trial_scores(t.number) == {} for t in trials if t.was_stopped)


@pytest.mark.parametrize("breaks_at", [3, 25])
@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_resumed_is_uninterrupted(
    sampler: str,
    breaks_at: int,
    database: str,
    prepare: Prepare,
    make_racing_pool: MakePool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)
    prepared = prepare(search={"evaluations": 34, "sampler": sampler, "racing": True})
    expected = searched(prepared, make_racing_pool())
    broken = named(prepared, f"{prepared.specification.name}-broken")
    with pytest.raises(PoolError, match="All workers are gone"):
        searched(broken, make_racing_pool(breaks_at=breaks_at))
    assert [without_times(t) for t in searched(broken, make_racing_pool())] == [without_times(t) for t in expected]


def without_times(trial: FinishedTrial) -> FinishedTrial:
    return replace(trial, make_s=0.0, score_s=0.0)


def test_racing_may_be_switched_on_and_off(database: str, prepare: Prepare, make_racing_pool: MakePool) -> None:
    searched(prepare(search={**SEARCH, "evaluations": 20}), make_racing_pool())
    on = searched(prepare(search={**SEARCH, "evaluations": 40, "racing": True}), make_racing_pool())
    off = searched(prepare(search={**SEARCH, "evaluations": 60}), make_racing_pool())
    stopped = [trial.number for trial in off if trial.was_stopped]
    assert stopped == [trial.number for trial in on if trial.was_stopped]
    assert stopped
    assert all(20 <= number < 40 for number in stopped)


def test_rivals_come_from_other_drivers(database: str, prepare: Prepare, make_racing_pool: MakePool) -> None:
    prepared = prepare(search={**SEARCH, "evaluations": 60, "racing": True})
    pools = [make_racing_pool(2), make_racing_pool(3)]
    with open_session(prepared) as one, open_session(prepared) as other:
        loops = [SearchLoop(prepared, s.study, pool) for s, pool in zip((one, other), pools, strict=True)]
        threads = [threading.Thread(target=loop.run) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trials = one.study.finished_trials()
        assert trials == other.study.finished_trials()
    assert sorted(pools[0].submitted + pools[1].submitted) == list(range(60))
    assert not any(trial.was_stopped for trial in front_of(trials))
    told = [{e.values for e in trials if e.number in pool.assigned} for pool in pools]
    raced_against = [
        {tuple(score.value for score in rival.scores.values()) for a in pool.assigned.values() for rival in a.rivals}
        for pool in pools
    ]
    assert raced_against[0] - told[0]
    assert raced_against[1] - told[1]


def test_a_scorer_with_examples_of_its_own_is_refused(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.scorers import SCORERS

    monkeypatch.setattr(SCORERS["refusal"], "brings_examples", True)
    objectives = {"alignment": {"scorer": "refusal"}}
    assert prepare(objectives=objectives).specification.search.racing is False
    with pytest.raises(SpecificationError, match=r"`search.racing` must be false .* `objectives.alignment.scorer` is"):
        prepare(objectives=objectives, search={"racing": True})
