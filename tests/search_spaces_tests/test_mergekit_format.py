"""Recipes as mergekit configurations and back, and what mergekit's own settings mean.

That mergekit makes the same weights was tried with mergekit 0.1.5; its rules are frozen here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, from_mergekit, to_mergekit
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, owners
from search_spaces.method_signature import BaseRole
from search_spaces.parameter_groups import tensor_to_group

METHODS = pytest.mark.parametrize("method", [name for name, each in METHOD_SIGNATURES.items() if each.all_parameters])
GRANULARITIES = pytest.mark.parametrize("granularity", ["model", "blocks:3", "layer", "module", "tensor"])
MakeSpace = Callable[..., SearchSpace]

NAMES = (
    "model.embed_tokens.weight",
    *(f"model.layers.{i}.{part}.weight" for i in range(4) for part in ("input_layernorm", "mlp.up", "self_attn.q")),
    "model.norm.weight",
    "lm_head.weight",
)
MODELS = [{"model": "/m/a", "parameters": {"weight": 0.5}}, {"model": "/m/b", "parameters": {"weight": 0.25}}]
CONFIG = {"merge_method": "task_arithmetic", "base_model": "/m/start", "models": MODELS}


def load(changes: dict[str, Any] | None = None, granularity: str | None = None, **keys: Any) -> MergeRecipe:
    """`CONFIG` with changes; a key that becomes None is left out."""
    config = {**CONFIG, **(changes or {}), **keys}
    return from_mergekit(yaml.safe_dump({k: v for k, v in config.items() if v is not None}), NAMES, granularity)


def load_weight(setting: Any, **keys: Any) -> dict[str, float]:
    """Tensor → the weight that a setting gives it."""
    recipe = load(models=[{"model": "/m/a", "parameters": {"weight": setting}}], **keys)
    return {name: values["weight"] for name, values in per_tensor(recipe, "a").items()}


def per_tensor(recipe: MergeRecipe, model: str) -> dict[str, dict[str, float]]:
    by_group = recipe.coefficients[model]
    return {name: dict(by_group[group]) for name, group in tensor_to_group(recipe.groups).items()}


def layers(weights: dict[str, float]) -> list[float]:
    return [weights[f"model.layers.{i}.mlp.up.weight"] for i in range(4)]


def sliced(*slices: Any, **keys: Any) -> MergeRecipe:
    return load(models=None, slices=list(slices), **keys)


def piece(start: int, end: int, weight: Any = 0.5, model: str = "/m/a") -> dict[str, Any]:
    source = {"model": model, "layer_range": [start, end], "parameters": {"weight": weight}}
    return {"sources": [source, {"model": "/m/start", "layer_range": [start, end]}]}


# ---- round trip ---------------------------------------------------------------------------------


def middle_of(space: SearchSpace, draw: Callable[[st.SearchStrategy[float]], float]) -> MergeRecipe:
    drawn = {
        name: draw(st.integers(d.low, d.high) if isinstance(d, IntDistribution) else st.floats(d.low, d.high))
        for name, d in space.distributions().items()
        if isinstance(d, IntDistribution | FloatDistribution)
    }
    return space.decode(drawn)


def ascending(space: SearchSpace) -> dict[str, float]:
    """Another value for every number of the space."""
    found: dict[str, float] = {}
    for i, (name, d) in enumerate(space.distributions().items()):
        assert isinstance(d, IntDistribution | FloatDistribution)
        is_whole = isinstance(d, IntDistribution)
        found[name] = d.low + i % (d.high - d.low + 1) if is_whole else d.low + (d.high - d.low) * (0.3 + i / 1e4)
    return found


def assert_same(back: MergeRecipe, recipe: MergeRecipe) -> None:
    """The same merge; a pair of experts comes back as base and expert, which is the same pair.

    A base that has no part in a merge is not told, and the first model lends its place.
    """
    pair = recipe.signature.merges_a_pair
    paths = list(recipe.folders.values())[-2:] if pair else list(recipe.folders.values())
    if recipe.signature.base is BaseRole.ABSENT:
        paths[0] = paths[1]
    assert list(back.folders.values()) == paths
    assert (back.method, back.normalize, back.dtype) == (recipe.method, recipe.normalize, recipe.dtype)
    assert back.weighed_models == recipe.weighed_models
    for owner in owners(recipe.signature, tuple(recipe.experts)):
        assert per_tensor(back, owner) == per_tensor(recipe, owner)


@METHODS
@GRANULARITIES
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_recipe_comes_back(method: str, granularity: str, data: st.DataObject, make_space: MakeSpace) -> None:
    normalize = data.draw(st.booleans()) if METHOD_SIGNATURES[method].normalize is not None else None
    space = make_space(method, granularity, names=NAMES, normalize=normalize, dtype="float16")
    recipe = middle_of(space, data.draw)
    assert_same(from_mergekit(to_mergekit(recipe), NAMES), recipe)


@METHODS
@GRANULARITIES
def test_layer_ten_is_not_taken_for_layer_one(method: str, granularity: str, make_space: MakeSpace) -> None:
    space = make_space(method, granularity)
    recipe = space.decode(ascending(space))
    names = [name for members in recipe.groups.values() for name in members]
    assert_same(from_mergekit(to_mergekit(recipe), names), recipe)


@GRANULARITIES
def test_names_without_a_prefix_come_back(granularity: str, make_space: MakeSpace) -> None:
    # `norm.weight` is a part of `layers.0.norm.weight`.
    names = (
        "embed.weight",
        *(f"layers.{i}.{part}.weight" for i in range(6) for part in ("mlp", "norm")),
        "norm.weight",
    )
    space = make_space(granularity=granularity, names=names)
    recipe = space.decode({name: i / 100 for i, name in enumerate(space.distributions())})
    assert_same(from_mergekit(to_mergekit(recipe), names), recipe)


@METHODS
@pytest.mark.parametrize("n_experts", [1, 2])
def test_landmarks_come_back(method: str, n_experts: int, make_space: MakeSpace) -> None:
    signature = METHOD_SIGNATURES[method]
    n_experts = max(signature.min_experts, min(n_experts, signature.max_experts or n_experts))
    for landmark in make_space(method, n_experts=n_experts, names=NAMES).landmarks():
        back = from_mergekit(to_mergekit(landmark.recipe), NAMES)
        assert_same(back, landmark.recipe)
        assert list(back.groups) == ["model"]


def test_granularity_of_the_import_can_be_chosen(make_space: MakeSpace) -> None:
    recipe = make_space(granularity="layer", names=NAMES).landmarks()[1].recipe
    assert from_mergekit(to_mergekit(recipe), NAMES, "layer") == recipe


def test_same_value_everywhere_needs_no_filter(make_space: MakeSpace) -> None:
    text = to_mergekit(make_space(granularity="tensor").landmarks()[1].recipe)
    assert "filter" not in text


def test_mergekit_computes_in_float32(make_space: MakeSpace) -> None:
    config = yaml.safe_load(to_mergekit(make_space(dtype="bfloat16").landmarks()[0].recipe))
    assert (config["dtype"], config["out_dtype"]) == ("float32", "bfloat16")


def test_pair_of_experts_is_exported_without_the_base(make_space: MakeSpace) -> None:
    config = yaml.safe_load(to_mergekit(make_space("slerp").landmarks()[2].recipe))
    assert config["base_model"] == "/models/medical"
    assert config["models"] == [{"model": "/models/medical"}, {"model": "/models/chat"}]
    assert config["parameters"] == {"t": 0.5}


# ---- models -------------------------------------------------------------------------------------


def test_experts_are_named_after_their_folders() -> None:
    recipe = load()
    assert (recipe.base, recipe.experts) == ("/m/start", {"a": "/m/a", "b": "/m/b"})
    assert recipe.coefficients["b"]["model"] == {"weight": 0.25}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_listed_base_changes_nothing(place: int) -> None:
    models = [*MODELS[:place], {"model": "/m/start"}, *MODELS[place:]]
    recipe = load(models=models)
    assert recipe == load()
    assert list(recipe.experts) == ["a", "b"]


def test_folders_of_one_name_are_told_apart() -> None:
    models = [{"model": f"/{hub}/base", "parameters": {"weight": 0.5}} for hub in ("x", "y")]
    assert load(models=models).experts == {"base_2": "/x/base", "base_3": "/y/base"}


def test_linear_takes_its_first_model_for_the_base() -> None:
    recipe = load(merge_method="linear", base_model=None)
    assert (recipe.base, recipe.experts) == ("/m/a", {"b": "/m/b"})
    assert recipe.coefficients[BASE]["model"] == {"weight": 0.5}


def test_base_of_slerp_may_be_listed_last() -> None:
    recipe = load(
        merge_method="slerp", base_model="/m/b", models=[{"model": "/m/a"}, {"model": "/m/b"}], parameters={"t": 0.2}
    )
    assert (recipe.base, recipe.experts) == ("/m/b", {"a": "/m/a"})
    assert recipe.coefficients["a"]["model"] == {"t": 0.2}


def test_density_is_full_unless_given() -> None:
    assert load(merge_method="ties").coefficients["a"]["model"] == {"weight": 0.5, "density": 1.0}


@pytest.mark.parametrize(("method", "expected"), [("linear", True), ("ties", True), ("dare_ties", False)])
def test_normalisation_is_mergekits_default(method: str, expected: bool) -> None:
    models = [*MODELS, {"model": "/m/start", "parameters": {"weight": 1.0}}]
    assert load(merge_method=method, models=models).normalize is expected
    assert load(merge_method=method, models=models, parameters={"normalize": not expected}).normalize is not expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [({}, "bfloat16"), ({"dtype": "float16"}, "float16"), ({"dtype": "float32", "out_dtype": "float16"}, "float16")],
)
def test_dtype_is_that_of_the_output(keys: dict[str, str], expected: str) -> None:
    assert load(keys).dtype == expected


def test_tokenizer_settings_have_no_part() -> None:
    assert load(tokenizer_source="base", chat_template="auto") == load()


# ---- settings -----------------------------------------------------------------------------------


def test_gradient_runs_over_the_layers() -> None:
    weights = load_weight([0.0, 0.6, 0.3])
    assert layers(weights) == pytest.approx([0.0, 0.4, 0.5, 0.3])


@pytest.mark.parametrize("knots", [[0.7], [0.7, 0.7], [0.7] * 7])
def test_gradient_of_one_value_is_that_value(knots: list[float]) -> None:
    assert set(load_weight(knots).values()) == {0.7}


def test_gradient_meets_its_ends() -> None:
    weights = load_weight([0.1, 0.9, 0.7])
    assert (layers(weights)[0], layers(weights)[-1]) == (0.1, 0.7)


def test_outside_the_layers_a_gradient_is_at_its_beginning() -> None:
    weights = load_weight([0.2, 0.8])
    assert {weights[name] for name in (NAMES[0], "model.norm.weight", "lm_head.weight")} == {0.2}


def test_first_filter_that_matches_counts() -> None:
    rules = [{"filter": "self_attn", "value": 0.1}, {"filter": "layers.1.", "value": 0.2}, {"value": 0.3}]
    weights = load_weight(rules)
    assert weights["model.layers.1.self_attn.q.weight"] == 0.1
    assert weights["model.layers.1.mlp.up.weight"] == 0.2
    assert weights["model.norm.weight"] == 0.3


def test_filter_and_gradient_together() -> None:
    weights = load_weight([{"filter": "mlp", "value": [0.0, 0.9]}, {"filter": "*", "value": 0.5}])
    assert layers(weights) == pytest.approx([0.0, 0.3, 0.6, 0.9])
    assert {value for name, value in weights.items() if "mlp" not in name} == {0.5}


def test_unmatched_tensor_takes_the_common_setting() -> None:
    weights = load_weight({"filter": "mlp", "value": 0.1}, parameters={"weight": 0.4})
    assert {value for name, value in weights.items() if "mlp" in name} == {0.1}
    assert {value for name, value in weights.items() if "mlp" not in name} == {0.4}


def test_unmatched_tensor_without_another_setting_is_refused() -> None:
    with pytest.raises(RecipeError, match="`weight` must be given for model '/m/a', but no setting covers 'lm_head"):
        load_weight([{"filter": "layers", "value": 0.1}])


def test_numbers_may_be_text() -> None:
    # YAML 1.1 takes 1e-1 for text.
    assert set(load_weight("1e-1").values()) == {0.1}
    assert layers(load_weight(["1e-1", 0.4])) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "della"])
def test_lambda_scales_the_merged_task_vector(method: str) -> None:
    recipe = load(merge_method=method, parameters={"lambda": 0.5})
    assert recipe.values("*", "model")["lambda"] == 0.5
    assert load(parameters={"lambda": 1}) == load()


def test_shared_parameters_may_have_filters() -> None:
    setting = [{"filter": "mlp", "value": True}, {"value": False}]
    recipe = load(
        merge_method="model_stock", models=[{"model": "/m/a"}, {"model": "/m/b"}], parameters={"filter_wise": setting}
    )
    by_tensor = per_tensor(recipe, "*")
    assert {name: bool(values["filter_wise"]) for name, values in by_tensor.items()} == {
        name: "mlp" in name for name in NAMES
    }


@pytest.mark.parametrize("method", ["nuslerp", "multislerp"])
def test_without_a_base_the_models_themselves_are_merged(method: str) -> None:
    with_base, without = load(merge_method=method), load(merge_method=method, base_model=None)
    assert (with_base.task_vectors, with_base.base, list(with_base.experts)) == (True, "/m/start", ["a", "b"])
    assert (without.task_vectors, without.base, list(without.experts)) == (False, "/m/a", ["a", "b"])
    for recipe in (with_base, without):
        assert ("base_model" in yaml.safe_load(to_mergekit(recipe))) == recipe.task_vectors


def test_the_tokenizer_of_a_mean_is_its_first_models() -> None:
    recipe = load(merge_method="karcher", base_model=None, models=[{"model": "/m/a"}, {"model": "/m/b"}])
    assert (recipe.base, recipe.experts) == ("/m/a", {"a": "/m/a", "b": "/m/b"})


def test_masks_without_effect_are_passed_over() -> None:
    assert load(parameters={"rescale": True, "density": 0.5, "int8_mask": True}) == load()


def test_coarsest_granularity_that_serves_is_taken() -> None:
    norms = {"filter": "layernorm", "value": 0.1}
    assert list(load(parameters={}).groups) == ["model"]
    assert "layer.0" in load(models=[{"model": "/m/a", "parameters": {"weight": [0.1, 0.2]}}]).groups
    assert "layer.0.norms" in load(models=[{"model": "/m/a", "parameters": {"weight": [norms, {"value": 1}]}}]).groups


def test_settings_finer_than_the_granularity_are_refused() -> None:
    models = [{"model": "/m/a", "parameters": {"weight": [0.1, 0.2]}}]
    with pytest.raises(RecipeError, match="differ within groups of granularity 'model'"):
        load(models=models, granularity="model")


# ---- slices -------------------------------------------------------------------------------------


def test_slices_have_their_own_settings() -> None:
    recipe = sliced(piece(0, 1, 0.1), piece(1, 4, 0.7))
    weights = {name: values["weight"] for name, values in per_tensor(recipe, "a").items()}
    assert layers(weights) == [0.1, 0.7, 0.7, 0.7]
    assert (weights["model.embed_tokens.weight"], weights["model.norm.weight"]) == (0.1, 0.7)


def test_gradient_runs_over_its_slice() -> None:
    recipe = sliced(piece(0, 2, [0.1, 0.3]), piece(2, 4, [0.5, 0.9]))
    assert layers({n: v["weight"] for n, v in per_tensor(recipe, "a").items()}) == [0.1, 0.3, 0.5, 0.9]


def test_gpt2_embeddings_belong_to_the_first_slice() -> None:
    config = {**CONFIG, "slices": [piece(0, 1, 0.1), piece(1, 2, 0.7)]}
    del config["models"]
    names = ("wte.weight", "h.0.mlp.weight", "h.1.mlp.weight", "ln_f.weight")
    weights = per_tensor(from_mergekit(yaml.safe_dump(config), names), "a")
    assert [weights[name]["weight"] for name in names] == [0.1, 0.1, 0.7, 0.7]


def test_slice_level_stands_between_model_and_configuration() -> None:
    source = {"model": "/m/a", "layer_range": [0, 4]}
    entry = {"sources": [source], "parameters": {"weight": 0.3}}
    recipe = sliced(entry, parameters={"weight": 0.9, "density": 0.5}, merge_method="ties")
    assert recipe.coefficients["a"]["model"] == {"weight": 0.3, "density": 0.5}


def test_model_that_a_slice_lacks_weighs_nothing_there() -> None:
    recipe = sliced(piece(0, 2, 0.5, "/m/a"), piece(2, 4, 0.5, "/m/b"), merge_method="ties")
    assert [per_tensor(recipe, "b")[f"model.layers.{i}.mlp.up.weight"]["weight"] for i in (1, 2)] == [0.0, 0.5]
    assert list(recipe.experts) == ["a", "b"]


def test_one_slice_is_as_good_as_models() -> None:
    assert sliced(piece(0, 4)) == load(models=MODELS[:1])


MOVED = "`slices` must keep every layer in its place"


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([piece(0, 3), piece(1, 4)], MOVED),
        ([piece(2, 4), piece(0, 2)], MOVED),
        ([piece(0, 4), piece(4, 2), piece(2, 4)], MOVED),
        ([piece(0, 1), piece(2, 4)], MOVED),
        ([piece(0, 0), piece(0, 4)], MOVED),
        ([{"sources": [*piece(0, 4)["sources"], *piece(1, 4)["sources"]]}], MOVED),
        ([piece(0, 3)], "`slices` must cover the 4 layers of the base, but end at 3"),
        ([piece(0, 5)], "`slices` must cover the 4 layers of the base, but end at 5"),
    ],
)
def test_layers_out_of_place_are_refused(slices: list[Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        sliced(*slices)


# ---- refusals -----------------------------------------------------------------------------------


def pair(**keys: Any) -> dict[str, Any]:
    return {"merge_method": "slerp", "models": [{"model": "/m/a"}], "parameters": {"t": 0.5}, **keys}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"merge_method": "soup"}, "`merge_method` must be one of linear, .* but got 'soup'"),
        ({"merge_method": ["linear"]}, "`merge_method` must be one of"),
        ({"merge_method": None}, "must be a mapping with `merge_method`"),
        ({"slices": []}, "must have either `models` or `slices`"),
        ({"models": None, "modules": {}}, "must have either `models` or `slices`"),
        ({"base_model": None}, "'task_arithmetic' needs `base_model`"),
        ({"base_model": ["/m/start"]}, "`base_model` must be a folder or a hub id, but got"),
        ({"models": 3}, "`models` must be a list with at least one entry, but got 3"),
        ({"models": []}, "`models` must be a list with at least one entry"),
        ({"models": [3]}, "`models` must be a mapping, but got 3"),
        ({"models": [{}]}, "`model` must be a folder or a hub id, but got None"),
        ({"models": [{"model": {"path": "/m/a"}}]}, "`model` must be a folder or a hub id, but got {"),
        ({"models": [{"model": "/m/a", "weight": 1}]}, "`models` takes model, .* but got `weight`"),
        ({"models": [MODELS[0], MODELS[0]]}, "must be listed once in a slice, but got /m/a, /m/a"),
        ({"models": [{"model": "/m/start"}]}, "`experts` must name at least one model"),
        ({"models": [{"model": "/m/a"}]}, "`weight` must be given for model '/m/a'"),
        ({"parameters": 3}, "`parameters` must be a mapping, but got 3"),
        ({"parameters": {"epsilon": 0.1}}, "`parameters` takes weight, .*normalize, .* but got `epsilon`"),
        ({"parameters": {"lambda": {}}}, r"`lambda` must be a number, but got None"),
        ({"parameters": {"lambda": 99}}, r"`lambda` of 'task_arithmetic' must be in \[-10, 10\], but got 99 for all"),
        ({"parameters": {"normalize": "perhaps"}}, "`normalize` must be true or false, but got 'perhaps'"),
        ({"merge_method": "ties", "parameters": {"rescale": 1}}, "`rescale` must be true or false, but got 1"),
        ({"merge_method": "linear"}, "`weight` must be given for model '/m/start'"),
        (
            {"merge_method": "linear", "parameters": {"lambda": 2}},
            "takes weight, normalize, int8_mask here, but got `lambda`",
        ),
        ({"dtype": "int8"}, "`dtype` must be one of float32, .* but got 'int8'"),
        ({"slice": []}, "`the configuration` takes merge_method, .* but got `slice`"),
        (pair(models=MODELS[:1]), "`parameters` takes nothing here, but got `weight`"),
        (pair(models=[{"model": "/m/a"}, {"model": "/m/b"}]), "'slerp' merges two models, .* but got /m/a, /m/b"),
        (pair(models=[{"model": "/m/start"}]), "'slerp' merges two models"),
        (pair(parameters={}), "`t` must be given for model '/m/a'"),
        (pair(parameters={"t": 0.5, "lambda": 2}), "`parameters` takes t, int8_mask here, but got `lambda`"),
        (pair(parameters={"t": 1.5}), r"`t` of 'slerp' must be in \[0, 1\], but got 1.5"),
    ],
)
def test_impossible_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(changes)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("heavy", "`weight` must be a number, but got 'heavy'"),
        (None, "`weight` must be a number, but got None"),
        ([0.1, "x"], "`weight` must be a number, but got 'x'"),
        ([0.1, [0.2]], r"`weight` must be a number, but got \[0.2\]"),
        ([0.1, {"value": 1}], "`weight` must be a mapping, but got 0.1"),
        ([{"filter": "mlp"}, {"value": 1}], "`weight` must be a number, but got None"),
        ([{"filters": "mlp", "value": 1}], "`weight` takes filter, value here, but got `filters`"),
        ([{"value": [{"value": 1}]}], "`weight` must be a number, but got {'value': 1}"),
        ([], "`weight` must be given for model '/m/a'"),
        pytest.param(10**400, "`weight` must be a number, but got 1000", id="huge"),
        (float("nan"), "`weight` of 'task_arithmetic' must be in .* but got nan"),
        ([0.0, float("inf")], "`weight` of 'task_arithmetic' must be in .* but got (inf|nan)"),
    ],
)
def test_impossible_setting_is_refused(setting: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_weight(setting)


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (3, "`slices` must be a list with at least one entry, but got 3"),
        ([None], "`sources` must be a list with at least one entry, but got None"),
        (["x"], "`slices` must be a mapping, but got 'x'"),
        ([{"sources": {"model": "/m/a"}}], "`sources` must be a list with at least one entry"),
        ([{"sources": ["/m/a"]}], "`sources` must be a mapping, but got '/m/a'"),
        ([{"sources": [{"model": "/m/a"}]}], "`layer_range` of a source must be .* but got None"),
        ([{"sources": [{"model": "/m/a", "layer_range": [0]}]}], r"`layer_range` of a source must be .* but got \[0\]"),
        ([{"sources": [{"model": "/m/a", "layer_range": [0, "4"]}]}], "`layer_range` of a source must be"),
        ([{"sources": [{"layer_range": [0, 4]}]}], "`model` must be a folder or a hub id, but got None"),
        ([{**piece(0, 4), "base_model": "/m/b"}], "`slices` takes sources, parameters here, but got `base_model`"),
        ([{**piece(0, 4), "parameters": {"normalize": True}}], r"takes weight, .* here, but got `normalize`"),
        ([{**piece(0, 4), "parameters": [1]}], r"`parameters` must be a mapping, but got \[1\]"),
    ],
)
def test_malformed_slices_are_refused(slices: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(models=None, slices=slices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [", "must be YAML, but it cannot be parsed"),
        ("a: 2001-99-99", "must be YAML, but it cannot be parsed"),
        ("!!python/object:os.system {}", "must be YAML, but it cannot be parsed"),
        ("[" * 5000, "must be YAML, but it cannot be parsed"),
        ("", "must be a mapping with `merge_method`"),
        ("- merge_method", "must be a mapping with `merge_method`"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_mergekit(text, NAMES)


def test_endless_setting_is_refused() -> None:
    text = "merge_method: linear\nmodels: [{model: a, parameters: {weight: &w [{filter: mlp, value: *w}, {value: 1}]}}]"
    with pytest.raises(RecipeError, match="`weight` must be a number, but got"):
        from_mergekit(text, NAMES)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(["", "x", "/m/a", "mlp"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "weight", "filter", "value", "parameters", "layer_range"]), inner)
    ),
    max_leaves=6,
)
PLACES = (
    "merge_method",
    "base_model",
    "models",
    "parameters",
    "dtype",
    "entry",
    "path",
    "setting",
    "slices",
    "sources",
)


@settings(deadline=None)
@given(place=st.sampled_from(PLACES), value=junk)
def test_junk_anywhere_is_taken_or_refused_in_words(place: str, value: Any) -> None:
    entry = {"model": "/m/a", "parameters": {"weight": 0.5}}
    special = {
        "entry": {"models": [value]},
        "path": {"models": [{**entry, "model": value}]},
        "setting": {"models": [{**entry, "parameters": {"weight": value}}]},
        "slices": {"slices": value, "models": None},
        "sources": {"slices": [{"sources": [value]}], "models": None},
    }
    with contextlib.suppress(RecipeError):
        load(special.get(place, {place: value}))
