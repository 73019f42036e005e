"""A recipe from elsewhere is the same merge under the names of a space, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, adopt_recipe, from_mergekit, to_mergekit
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE

MakeSpace = Callable[..., SearchSpace]


def known(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    """Every folder by its name in the space."""
    return {folder: (name,) for name, folder in {BASE: space.base, **space.experts}.items()}


def as_read(recipe: MergeRecipe, space: SearchSpace) -> MergeRecipe:
    """A recipe as it is found in a file, where models have names of their own."""
    names = [name for members in space.groups.values() for name in members]
    return from_mergekit(to_mergekit(recipe), names, space.options.granularity)


def written(text: str, space: SearchSpace) -> MergeRecipe:
    return from_mergekit(text, [name for members in space.groups.values() for name in members], "model")


@pytest.mark.parametrize("method", [name for name in METHOD_SIGNATURES if name != "arcee_fusion"])
def test_what_a_space_writes_it_takes_back(method: str, make_space: MakeSpace) -> None:
    space = make_space(method, seed=7, dtype="float16")
    for landmark in space.landmarks():
        assert adopt_recipe(as_read(landmark.recipe, space), space, known(space)) == landmark.recipe


def test_experts_are_told_apart_in_any_order(make_space: MakeSpace) -> None:
    space = make_space("ties", "model")
    recipe = replace(
        space.unweighed(),
        coefficients={
            "medical": {"model": {"weight": 0.2, "density": 0.5}},
            "chat": {"model": {"weight": 0.7, "density": 1.0}},
        },
    )
    turned = replace(recipe, experts=dict(reversed(list(recipe.experts.items()))))
    assert adopt_recipe(as_read(turned, space), space, known(space)).coefficients["chat"] == {
        "model": {"weight": 0.7, "density": 1.0}
    }


def test_an_expert_that_is_not_named_is_not_weighed(make_space: MakeSpace) -> None:
    space = make_space("task_arithmetic", "model")
    recipe = written(
        "merge_method: task_arithmetic\nbase_model: /models/start\n"
        "models: [{model: /models/chat, parameters: {weight: 0.4}}]",
        space,
    )
    weights = space.encode(adopt_recipe(recipe, space, known(space)))
    assert weights == {"medical/model/weight": 0.0, "chat/model/weight": 0.4}


AVERAGE = """
merge_method: linear
models:
  - {model: /models/chat, parameters: {weight: 3}}
  - {model: /models/start, parameters: {weight: 2}}
  - {model: /models/medical, parameters: {weight: 5}}
"""


def test_an_average_keeps_the_base_whatever_stands_first(make_space: MakeSpace) -> None:
    space = make_space("linear", "model", rules=())
    recipe = adopt_recipe(written(AVERAGE, space), space, known(space))
    found = {model: by_group["model"]["weight"] for model, by_group in recipe.coefficients.items()}
    assert found == {BASE: 2, "medical": 5, "chat": 3}


def test_an_average_is_task_arithmetic_with_its_shares(make_space: MakeSpace) -> None:
    space = make_space("task_arithmetic", "model")
    recipe = adopt_recipe(written(AVERAGE, space), space, known(space))
    assert space.encode(recipe) == {"medical/model/weight": 0.5, "chat/model/weight": 0.3}


def test_an_average_that_is_none_is_no_task_arithmetic(make_space: MakeSpace) -> None:
    space = make_space("task_arithmetic", "model")
    with pytest.raises(RecipeError, match="must be the search's, task_arithmetic, but is linear"):
        adopt_recipe(written(AVERAGE + "parameters: {normalize: false}", space), space, known(space))


def test_a_pair_keeps_its_direction(make_space: MakeSpace) -> None:
    space = make_space("slerp", "model", n_experts=2)
    there, back = (
        f"merge_method: slerp\nbase_model: {first}\nmodels: [{{model: {first}}}, {{model: {second}}}]\n"
        "parameters: {t: 0.2}"
        for first, second in (("/models/medical", "/models/chat"), ("/models/chat", "/models/medical"))
    )
    assert space.encode(adopt_recipe(written(there, space), space, known(space))) == {"chat/model/t": 0.2}
    with pytest.raises(RecipeError, match="'/models/chat' must be medical of the search's `models`"):
        adopt_recipe(written(back, space), space, known(space))


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("ties", {"normalize": False}, "Its `normalize` must be that of the search, true, but is false"),
        ("multislerp", {"task_vectors": False}, "`space.task_vectors` says which"),
        ("ties", {"base": "/models/chat", "experts": {"chat": "/models/start"}}, "'/models/chat' must be base of"),
        ("ties", {"experts": {"chat": "/models/other"}}, "'/models/other' must be medical or chat of"),
        ("sce", {"experts": {"chat": "/models/chat"}}, "sce weighs none, but lacks medical"),
    ],
)
def test_what_a_space_cannot_say_is_refused(
    method: str, changes: dict[str, object], message: str, make_space: MakeSpace
) -> None:
    space = make_space(method, "model")
    with pytest.raises(RecipeError, match=message):
        adopt_recipe(replace(space.landmarks()[-1].recipe, **changes), space, known(space))  # type: ignore[arg-type]


def test_a_model_that_is_listed_twice_is_refused(make_space: MakeSpace) -> None:
    space = make_space("task_arithmetic", "model")
    names = known(space) | {"/models/medical": ("chat",)}
    with pytest.raises(RecipeError, match="must be medical or chat"):
        adopt_recipe(space.landmarks()[-1].recipe, space, names)
