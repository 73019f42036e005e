"""A search that starts from the front of an earlier one: its merges are the first that are tried."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import SelectionError, SpecificationError
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.search.earlier_front import MAX_RECIPES
from service.search.selection import front_of
from service.search.session import open_session
from service.specification import load_specification
from service.studies import FinishedTrial, StoredStudy
from workers.worker_pools import WorkerPool

Write = Callable[..., Path]
StartFrom = Callable[..., PreparedSearch]

N_TRIALS = 50
EXACT = {"set": str(FAMILY / "domain.jsonl"), "scorer": "exact_match"}
# What the objectives of a search by likelihoods cannot follow, and a later one asks for.
LATER: dict[str, Any] = {
    "objectives": {"alignment": EXACT},
    "search": {"sampler": "random", "evaluations": 30, "landmarks": False},
}


@pytest.fixture
def earlier(tmp_path: Path, write_specification: Write) -> Callable[..., StoredStudy]:
    """A search whose trials lie on one line of its space, and all on its front; keywords change its specification."""

    def make(**changes: Any) -> StoredStudy:
        path = write_specification(tmp_path, name=f"likelihoods-{uuid.uuid4().hex}", **changes)
        prepared = prepare_search(load_specification(path))
        names = prepared.space.distributions()

        def trial(number: int) -> FinishedTrial:
            along = number / (N_TRIALS - 1)
            weights = {"expert": along, "aligned": 1.0 - along}
            params = {name: weights[name.partition("/")[0]] if name.endswith("weight") else 1.0 for name in names}
            return FinishedTrial(number, params, (along, 1.0 - along), (None, None), "", 0.1, 0.1, "")

        return StoredStudy(prepared.identity, tuple(map(trial, range(N_TRIALS))), {})

    return make


@pytest.fixture
def start_from(tmp_path: Path, study_name: str, write_specification: Write) -> StartFrom:
    """Prepare a search that starts from a study; keywords change its specification."""

    def make(study: StoredStudy, **changes: Any) -> PreparedSearch:
        search = {**LATER["search"], "start": [{"front_of": study.identity.name}]}
        path = write_specification(tmp_path, **{"name": study_name, **LATER, "search": search, **changes})
        return prepare_search(load_specification(path), read_study={study.identity.name: study}.__getitem__)

    return make


def test_its_merges_are_landmarks_in_the_order_in_which_they_tell_most(
    earlier: Callable[..., StoredStudy], start_from: StartFrom
) -> None:
    study = earlier()
    prepared = start_from(study)
    landmarks = list(prepared.plan().landmarks.items())[: len(prepared.start)]
    numbers = [int(name.removeprefix(f"{study.identity.name} #")) for name, _ in landmarks]
    assert [dict(params) for _, params in landmarks] == [dict(study.trials[number].params) for number in numbers]
    assert len(numbers) == MAX_RECIPES
    assert set(numbers[:2]) == {0, N_TRIALS - 1}
    assert max(b - a for a, b in zip(sorted(numbers), sorted(numbers)[1:], strict=False)) < 2 * N_TRIALS / MAX_RECIPES


def test_what_is_dominated_or_failed_is_left_out(earlier: Callable[..., StoredStudy], start_from: StartFrom) -> None:
    study = earlier()
    best, worse, failed = study.trials[3], replace(study.trials[4], values=(-1.0, -1.0)), study.trials[5]
    trials = (best, worse, replace(failed, values=(), failure="timeout"))
    prepared = start_from(replace(study, trials=trials))
    assert [landmark.name for landmark in prepared.start] == [f"{study.identity.name} #3"]


def test_an_own_landmark_is_not_tried_twice(earlier: Callable[..., StoredStudy], start_from: StartFrom) -> None:
    study = earlier()  # its first and last trials are the two experts alone
    alone = {f"{study.identity.name} #{number}" for number in (0, N_TRIALS - 1)}
    search = {**LATER["search"], "start": [{"front_of": study.identity.name}]}
    with_landmarks, without = (start_from(study, search={**search, "landmarks": on}) for on in (True, False))
    assert {each.name for each in without.start} - {each.name for each in with_landmarks.start} == alone


def test_a_number_that_was_fixed_then_may_be_searched_now(
    earlier: Callable[..., StoredStudy], start_from: StartFrom
) -> None:
    fixed = [{"expert": "aligned", "weight": 0.7}]
    study = earlier(space={"bounds": fixed})
    found = start_from(study).plan().landmarks[f"{study.identity.name} #0"]
    assert {value for name, value in found.items() if name.startswith("aligned")} == {0.7}
    again = start_from(study, space={"bounds": fixed}).plan().landmarks[f"{study.identity.name} #0"]
    assert again.items() < found.items()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {"granularity": "model"}}, r"Its `space\.granularity` is 'model', and that of this search 'layer'"),
        ({"models": {"experts": {"expert": str(FAMILY / "expert")}}}, r"It has another `models\.aligned`\."),
        (
            {"models": {"experts": {name: str(FAMILY / "expert") for name in ("aligned", "expert")}}},
            r"another `models\.aligned`\.",
        ),
        (
            {"space": {"method": "ties"}},
            r"#\d+' lies outside the space\. Its `merge_method` must be the search's, task",
        ),
    ],
)
def test_another_space_is_refused(
    changes: dict[str, Any], told: str, earlier: Callable[..., StoredStudy], start_from: StartFrom
) -> None:
    with pytest.raises(SpecificationError, match=rf"`search\.start` must name the front .*is none: .*{told}"):
        start_from(earlier(**changes))


def test_a_merge_out_of_bounds_is_refused_with_its_name(
    earlier: Callable[..., StoredStudy], start_from: StartFrom
) -> None:
    with pytest.raises(SpecificationError, match=r"'likelihoods-\w+ #\d+' lies outside the space\. .*weight"):
        start_from(earlier(), space={"weight": [0.0, 0.5]})


def test_a_front_must_be_there(earlier: Callable[..., StoredStudy], start_from: StartFrom) -> None:
    study = earlier()
    with pytest.raises(SpecificationError, match=r"is none: None of its trials has succeeded yet"):
        start_from(replace(study, trials=()))
    with pytest.raises(SpecificationError, match=r"is this search itself"):
        start_from(study, name=study.identity.name)
    start = [{"front_of": study.identity.name}] * 2
    with pytest.raises(SpecificationError, match=r"each landmark once, but '.* #\d+' of a front is one already"):
        start_from(study, search={"start": start})


@pytest.mark.usefixtures("database")
def test_an_unknown_search_is_told_by_the_users_database(tmp_path: Path, write_specification: Write) -> None:
    path = write_specification(tmp_path, search={"start": [{"front_of": "nowhere"}]})
    with pytest.raises(SpecificationError, match=r"'nowhere' is none: .* there is none named 'nowhere'"):
        prepare_search(load_specification(path))


def test_without_a_front_no_study_is_read(tmp_path: Path, write_specification: Write) -> None:
    def refuse(name: str) -> StoredStudy:
        raise SelectionError(name)

    assert prepare_search(load_specification(write_specification(tmp_path)), read_study=refuse).start == ()


def test_it_is_searched_first_and_goes_on_from_the_database(
    tmp_path: Path, write_specification: Write, study_name: str, make_pool: type[WorkerPool], database: str
) -> None:
    first = write_specification(tmp_path, name=study_name, search={"evaluations": 12, "sampler": "random"})
    with open_session(prepare_search(load_specification(first)), database) as session:
        session.run(lambda _: None, make_pool())
        n_front = len(front_of(session.study.finished_trials()))
    start = {"start": [{"front_of": study_name}], "landmarks": False, "evaluations": n_front, "sampler": "random"}
    second = write_specification(tmp_path, name=f"{study_name}-2", objectives=LATER["objectives"], search=start)
    with open_session(prepare_search(load_specification(second)), database) as session:
        session.run(lambda _: None, make_pool())
        tried = [trial.landmark for trial in session.study.finished_trials()]
    assert all(name.startswith(f"{study_name} #") for name in tried)
    assert len(set(tried)) == n_front
