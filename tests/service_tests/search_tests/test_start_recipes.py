"""Recipes that a search starts from: found by path or name, inside its bounds, and asked first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces.errors import SpecificationError
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_stored
from service.search.session import open_session
from service.studies import StoredStudy
from workers.worker_pools import WorkerPool

Prepare = Callable[..., PreparedSearch]
WriteRecipe = Callable[..., str]

ALIGNED, EXPERT, BASE = (str(FAMILY / name) for name in ("aligned", "expert", "base"))


@pytest.fixture
def write_recipe(tmp_path: Path) -> WriteRecipe:
    """Write task arithmetic of two models; returns the file's path from the specification's folder."""

    def write(
        file: str = "mine.yaml", aligned: str = ALIGNED, expert: str = EXPERT, base: str = BASE, weight: float = 0.8
    ) -> str:
        (tmp_path / file).write_text(
            f"merge_method: task_arithmetic\nbase_model: {base}\nmodels:\n"
            f"  - {{model: {expert}, parameters: {{weight: [0.2, {weight}]}}}}\n"
            f"  - {{model: {aligned}, parameters: {{weight: 0.5}}}}\n"
        )
        return file

    return write


def started(*files: str, **search: object) -> dict[str, object]:
    return {"start": list(files), "evaluations": 9, "sampler": "random", **search}


def test_a_recipe_is_the_first_landmark(prepare: Prepare, write_recipe: WriteRecipe) -> None:
    prepared = prepare(search=started(write_recipe()))
    name, params = next(iter(prepared.plan().landmarks.items()))
    n_layers = sum(group.startswith("layer.") for group in prepared.space.groups)
    assert name == "mine"
    assert params["expert/layer.0/weight"] == 0.2
    assert params[f"expert/layer.{n_layers - 1}/weight"] == 0.8
    assert {params[f"aligned/{group}/weight"] for group in prepared.space.groups} == {0.5}
    assert prepared.encoded_landmarks == prepared.plan().landmarks
    assert prepared.landmarks_outside == []


def test_without_landmarks_it_is_tried_alone(prepare: Prepare, write_recipe: WriteRecipe) -> None:
    prepared = prepare(search=started(write_recipe(), landmarks=False))
    assert list(prepared.plan().landmarks) == ["mine"]


@pytest.mark.parametrize("expert", ["expert", "elsewhere/expert", EXPERT])
def test_models_are_found_by_name_or_path(prepare: Prepare, write_recipe: WriteRecipe, expert: str) -> None:
    assert prepare(search=started(write_recipe(expert=expert))).start


def test_a_path_is_seen_from_the_recipe(prepare: Prepare, write_recipe: WriteRecipe, tmp_path: Path) -> None:
    shutil.copytree(EXPERT, tmp_path / "tuned")
    models = {"base": BASE, "experts": {"aligned": ALIGNED, "tuned": str(tmp_path / "tuned")}}
    prepared = prepare(models=models, search=started(write_recipe(expert="./tuned")))
    assert prepared.start[0].recipe.experts == models["experts"]


def test_folders_of_one_name_are_told_apart_by_path_alone(
    prepare: Prepare, write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    for parent in ("a", "b"):
        shutil.copytree(EXPERT, tmp_path / parent / "same")
    models = {"base": BASE, "experts": {name: str(tmp_path / name / "same") for name in ("a", "b")}}
    assert prepare(models=models, search=started(write_recipe(aligned="a/same", expert="b/same"))).start
    with pytest.raises(SpecificationError, match="model 'same' must be a or b of the search's `models`"):
        prepare(models=models, search=started(write_recipe(aligned="same", expert="b/same")))


@pytest.mark.parametrize(
    ("file", "recipe", "message"),
    [
        ("nowhere.yaml", {}, r"nowhere\.yaml': A mergekit configuration must be a YAML file, but .* is not there"),
        ("mine.yaml", {"weight": 9}, r"mine\.yaml': `expert/layer\.\d+/weight` must be in \[0, 1.5\], but got "),
        ("mine.yaml", {"expert": "/models/other"}, "'/models/other' must be aligned or expert of"),
        ("mine.yaml", {"base": ALIGNED}, "aligned' must be base of"),
        ("expert.yaml", {}, "must name each landmark once, but 'expert' of .* Rename it"),
        ("my recipe.yaml", {}, r"letters, digits, .* but got 'my recipe\.yaml'"),
    ],
)
def test_a_recipe_outside_the_space_is_refused(
    prepare: Prepare, write_recipe: WriteRecipe, file: str, recipe: dict[str, object], message: str
) -> None:
    write_recipe(file if file != "nowhere.yaml" else "other.yaml", **recipe)
    with pytest.raises(SpecificationError, match=message):
        prepare(search=started(file))


def test_a_finer_recipe_is_refused(prepare: Prepare, write_recipe: WriteRecipe) -> None:
    with pytest.raises(SpecificationError, match=r"mine\.yaml': .* differ within groups of granularity 'model'"):
        prepare(space={"granularity": "model"}, search=started(write_recipe()))


def test_what_is_no_recipe_is_refused(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text("- 1")
    with pytest.raises(SpecificationError, match=r"set\.yaml': A mergekit configuration must be a mapping"):
        prepare(search=started("set.yaml"))


def test_it_is_no_part_of_what_a_study_is(prepare: Prepare, write_recipe: WriteRecipe) -> None:
    assert prepare(search=started(write_recipe())).identity.fixed == prepare().identity.fixed


def test_a_search_tries_it_first_and_goes_on_without_the_file(
    prepare: Prepare, write_recipe: WriteRecipe, make_pool: type[WorkerPool], database_url: str, tmp_path: Path
) -> None:
    prepared = prepare(search=started(write_recipe(), evaluations=9))
    with open_session(prepared, database_url) as session:
        session.run(lambda _: None, make_pool())
        first, *_ = session.study.finished_trials()
        stored = StoredStudy(session.study.identity, (), {})
    assert (first.landmark, first.params) == ("mine", prepared.encoded_landmarks["mine"])
    (tmp_path / "mine.yaml").unlink()
    assert prepare_stored(stored).recipe(first.params) == prepared.start[0].recipe


def test_one_that_is_added_later_is_tried_next(
    prepare: Prepare, write_recipe: WriteRecipe, make_pool: type[WorkerPool], database_url: str
) -> None:
    for files, evaluations in (((), 8), ((write_recipe(),), 10)):
        with open_session(prepare(search=started(*files, evaluations=evaluations)), database_url) as session:
            session.run(lambda _: None, make_pool())
            landmarks = [trial.landmark for trial in session.study.finished_trials()]
    assert landmarks[:8].count("mine") == 0
    assert landmarks[8:] == ["mine", ""]
