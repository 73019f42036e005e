"""Trial parameters and recipes say the same; bounds say what may vary."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces import METHOD_SIGNATURES, BoundsRule, SearchSpace
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.parameter_gradients import parameter_gradients
from search_spaces.search_space import Bounds

REPOSITORY = Path(__file__).parents[2]
METHODS = pytest.mark.parametrize("method", [name for name, each in METHOD_SIGNATURES.items() if each.all_parameters])
GRANULARITIES = pytest.mark.parametrize("granularity", ["model", "blocks:3", "layer", "module", "tensor"])
MakeSpace = Callable[..., SearchSpace]

ORDER = """
from search_spaces import *
names = [f"layers.{i}.{part}.weight" for i in range(12) for part in ("norm", "mlp.up", "attn.q")]
space = SearchSpace("start", {"z": "z", "a": "a", "m": "m"}, set(names), SpaceOptions("ties", "module"))
print(*space.distributions(), *space.decode({name: 0.5 for name in space.distributions()}).groups)
"""


def bounds_of(space: SearchSpace) -> dict[str, Bounds]:
    found = space.distributions()
    return {name: (d.low, d.high) for name, d in found.items() if isinstance(d, FloatDistribution | IntDistribution)}


def in_bounds(space: SearchSpace) -> st.SearchStrategy[dict[str, float]]:
    return st.fixed_dictionaries(
        {
            name: st.integers(int(low), int(high)) if isinstance(low, int) else st.floats(low, high)
            for name, (low, high) in bounds_of(space).items()
        }
    )


def middle(space: SearchSpace) -> dict[str, float]:
    found = bounds_of(space).items()
    return {name: (low + high) // 2 if isinstance(low, int) else (low + high) / 2 for name, (low, high) in found}


# ---- both ways ----------------------------------------------------------------------------------


@METHODS
@GRANULARITIES
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_encode_inverts_decode(method: str, granularity: str, data: st.DataObject, make_space: MakeSpace) -> None:
    names = tuple(f"model.layers.{i}.{part}.weight" for i in range(3) for part in ("mlp", "attn", "norm"))
    space = make_space(method, granularity, names=names)
    params = data.draw(in_bounds(space))
    back = space.encode(space.decode(params))
    assert back == params
    assert list(back) == list(space.distributions())


@METHODS
def test_decode_is_the_same_in_any_order_of_parameters(method: str, make_space: MakeSpace) -> None:
    space = make_space(method)
    params = middle(space)
    assert space.decode(dict(reversed(params.items()))) == space.decode(params)


@METHODS
@GRANULARITIES
def test_a_dimension_per_model_group_and_parameter(method: str, granularity: str, make_space: MakeSpace) -> None:
    space = make_space(method, granularity)
    n_searched = [
        len([parameter for parameter in space.signature.parameters_of(owner) if parameter.searched])
        for owner in space.owners
    ]
    assert space.n_dims == len(space.distributions()) == sum(n_searched) * len(space.groups)


@METHODS
def test_bounds_are_the_methods_defaults(method: str, make_space: MakeSpace) -> None:
    for name, bounds in bounds_of(make_space(method)).items():
        parameter = METHOD_SIGNATURES[method].parameter(name.rpartition("/")[2])
        assert bounds == (parameter.low, parameter.high)


def test_recipe_takes_the_options(make_space: MakeSpace) -> None:
    space = make_space("dare_ties", normalize=False, seed=7, dtype="float32")
    recipe = space.decode(middle(space))
    assert (recipe.method, recipe.normalize, recipe.seed, recipe.dtype) == ("dare_ties", False, 7, "float32")
    assert (recipe.base, list(recipe.experts)) == ("/models/start", ["medical", "chat"])


@METHODS
def test_normalisation_is_the_methods_own_unless_said(method: str, make_space: MakeSpace) -> None:
    assert make_space(method).normalize == bool(METHOD_SIGNATURES[method].normalize)
    assert make_space(method, normalize=True).normalize


def test_distributions_are_a_copy(make_space: MakeSpace) -> None:
    space = make_space()
    space.distributions().clear()
    assert space.n_dims == len(space.distributions()) > 0


def test_order_is_the_same_in_a_fresh_process() -> None:
    command = [sys.executable, "-c", ORDER]
    found = {
        subprocess.run(
            command, cwd=REPOSITORY, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert next(iter(found)).startswith(b"z/layer.0.attention/weight z/layer.0.attention/density z/layer.0.mlp/weight")


# ---- refusals of decode and encode --------------------------------------------------------------


def test_missing_parameter_is_refused(make_space: MakeSpace) -> None:
    space = make_space()
    params = middle(space)
    del params["chat/layer.3/weight"]
    with pytest.raises(RecipeError, match=r"differ in chat/layer.3/weight"):
        space.decode(params)


def test_unknown_parameter_is_refused(make_space: MakeSpace) -> None:
    space = make_space()
    with pytest.raises(RecipeError, match=r"differ in chat/layer.99/weight"):
        space.decode({**middle(space), "chat/layer.99/weight": 0.5})


@pytest.mark.parametrize("value", [-0.01, 1.51, float("nan"), float("inf")])
def test_value_out_of_bounds_is_refused(value: float, make_space: MakeSpace) -> None:
    space = make_space()
    with pytest.raises(RecipeError, match=rf"`chat/head/weight` must be in \[0, 1.5\], but got {value:g}"):
        space.decode({**middle(space), "chat/head/weight": value})


@pytest.mark.parametrize(
    "other",
    [
        {"method": "linear"},
        {"granularity": "module"},
        {"n_experts": 3},
        {"seed": 1},
        {"dtype": "float32"},
        {"normalize": True},
    ],
)
def test_recipe_of_another_space_is_refused(other: dict[str, object], make_space: MakeSpace) -> None:
    space = make_space(**other)
    with pytest.raises(RecipeError, match="differs from the space"):
        make_space().encode(space.decode(middle(space)))


def test_recipe_with_experts_in_another_order_is_refused(tensor_names: tuple[str, ...], make_space: MakeSpace) -> None:
    space = make_space()
    other = SearchSpace(space.base, dict(reversed(space.experts.items())), tensor_names, space.options)
    with pytest.raises(RecipeError, match="differs from the space"):
        space.encode(other.decode(middle(other)))


def test_recipe_out_of_bounds_is_refused(make_space: MakeSpace) -> None:
    wide = make_space()
    narrow = make_space(rules=(BoundsRule({"weight": (0.0, 0.2)}, expert="chat"),))
    with pytest.raises(RecipeError, match=r"`chat/embeddings/weight` must be in \[0, 0.2\], but got 0.75"):
        narrow.encode(wide.decode(middle(wide)))


# ---- bounds rules -------------------------------------------------------------------------------


def test_rule_for_one_expert(make_space: MakeSpace) -> None:
    space = make_space(rules=(BoundsRule({"weight": (0.2, 0.9)}, expert="chat"),))
    for name, bounds in bounds_of(space).items():
        assert bounds == ((0.2, 0.9) if name.startswith("chat/") else (0.0, 1.5))


def test_rule_for_a_filter(make_space: MakeSpace) -> None:
    space = make_space("ties", "module", rules=(BoundsRule({"density": (0.5, 0.6)}, filter="*.attention"),))
    for name, bounds in bounds_of(space).items():
        assert (bounds == (0.5, 0.6)) == name.endswith(".attention/density")


def test_rule_for_an_expert_and_a_filter(make_space: MakeSpace) -> None:
    space = make_space(rules=(BoundsRule({"weight": (0.1, 0.2)}, "medical", "layer.1?"),))
    narrowed = [name for name, bounds in bounds_of(space).items() if bounds == (0.1, 0.2)]
    assert narrowed == ["medical/layer.10/weight", "medical/layer.11/weight"]


def test_last_rule_counts(make_space: MakeSpace) -> None:
    general, special = BoundsRule({"weight": (0.0, 0.5)}), BoundsRule({"weight": (0.6, 0.7)}, filter="head")
    late = bounds_of(make_space(rules=(general, special)))
    early = bounds_of(make_space(rules=(special, general)))
    assert (late["chat/head/weight"], late["chat/layer.0/weight"]) == ((0.6, 0.7), (0.0, 0.5))
    assert set(early.values()) == {(0.0, 0.5)}


def test_a_later_rule_leaves_other_parameters_alone(make_space: MakeSpace) -> None:
    rules = (BoundsRule({"density": (0.3, 0.4)}), BoundsRule({"weight": (0.6, 0.7)}))
    assert set(bounds_of(make_space("ties", rules=rules)).values()) == {(0.3, 0.4), (0.6, 0.7)}


def test_fixed_value_is_no_dimension(make_space: MakeSpace) -> None:
    space = make_space("ties", rules=(BoundsRule({"density": (0.3, 0.3)}),))
    params = middle(space)
    recipe = space.decode(params)
    assert not any("density" in name for name in space.distributions())
    assert {values["density"] for values in recipe.coefficients["chat"].values()} == {0.3}
    assert space.encode(recipe) == params


def test_other_value_than_the_fixed_one_is_refused(make_space: MakeSpace) -> None:
    free, fixed = make_space(), make_space(rules=(BoundsRule({"weight": (0.3, 0.3)}, filter="head"),))
    with pytest.raises(RecipeError, match=r"`medical/head/weight` must be in \[0.3, 0.3\], but got 0.75"):
        fixed.encode(free.decode(middle(free)))


def test_space_of_fixed_values_alone_is_refused(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match="must leave something to search"):
        make_space(rules=(BoundsRule({"weight": (1.0, 1.0)}),))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (BoundsRule({"weight": (1.0, 0.5)}), r"`weight` must be \[low, high\] with low <= high, but got \[1, 0.5\]"),
        (BoundsRule({"weight": (0.0, 11.0)}), r"`weight` .* must lie in \[-10, 10\], but got \[0, 11\]"),
        (BoundsRule({"weight": (float("nan"), 1.0)}), r"`weight` .* must lie in \[-10, 10\], but got \[nan, 1\]"),
        (BoundsRule({"density": (0.0, 1.0)}), r"`density` of 'ties' must lie in \[0.001, 1\], but got \[0, 1\]"),
        (BoundsRule({"t": (0.0, 1.0)}), "'ties' takes weight, density, lambda, rescale, but the space bounds `t`"),
        (BoundsRule({}, expert="poetry"), "must name one of medical, chat, but got expert 'poetry'"),
        (BoundsRule({}, expert="base"), "must name one of medical, chat, but got expert 'base'"),
        (BoundsRule({}, filter="layer.12"), r"`filter: layer.12` matches no parameter group.*embeddings.*… head"),
    ],
)
def test_impossible_rule_is_refused(rule: BoundsRule, message: str, make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match=message):
        make_space("ties", rules=(BoundsRule({"weight": (0.0, 1.0)}), rule))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"density": (0.1, 0.5)}, "but got 0.1 and 0.15 within .* of model 'medical', group 'embeddings'"),
        ({"density": (0.5, 1.0)}, "but got 1 and 0.15 within the bounds"),
        ({"epsilon": (0.0, 0.3)}, "but got 0.2 and 0.3 within the bounds"),
    ],
)
def test_bounds_with_probabilities_out_of_reach_are_refused(
    bounds: dict[str, Bounds], message: str, make_space: MakeSpace
) -> None:
    with pytest.raises(SpecificationError, match=message):
        make_space("della", rules=(BoundsRule(bounds),))


def test_full_density_is_no_probability(make_space: MakeSpace) -> None:
    space = make_space("della", rules=(BoundsRule({"density": (1.0, 1.0)}),))
    assert {values["density"] for values in space.decode(middle(space)).coefficients["chat"].values()} == {1.0}


def test_what_is_given_once_has_no_expert(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match=r"`lambda` of 'ties' is given once for all models, .* expert 'chat'"):
        make_space("ties", rules=(BoundsRule({"lambda": (0.5, 1.0)}, expert="chat"),))


def test_whole_numbers_have_whole_bounds(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match=r"`max_iter` must have whole numbers as bounds, but got \[1.5, 3\]"):
        make_space("karcher", rules=(BoundsRule({"max_iter": (1.5, 3)}),))


def test_a_method_without_numbers_has_nothing_to_search(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match="'arcee_fusion' takes no parameters: there is one such merge"):
        make_space("arcee_fusion")


def test_first_model_of_a_pair_has_no_bounds(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match="must name one of chat, but got expert 'medical'"):
        make_space("slerp", rules=(BoundsRule({"t": (0.0, 0.5)}, expert="medical"),))


def test_unknown_method_is_refused(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match=r"`space.method` must be one of linear, .* but got 'soup'"):
        make_space("soup")


def test_unknown_granularity_is_refused(make_space: MakeSpace) -> None:
    with pytest.raises(SpecificationError, match=r"`granularity` must be one of .* but got 'head'"):
        make_space(granularity="head")


def test_too_many_experts_for_a_pair_are_refused(make_space: MakeSpace) -> None:
    with pytest.raises(RecipeError, match="'slerp' merges two models"):
        make_space("slerp", n_experts=3)


# ---- gradients ----------------------------------------------------------------------------------


@METHODS
def test_gradients_are_named_as_the_trials_parameters(method: str, make_space: MakeSpace) -> None:
    space = make_space(method)
    params = middle(space)
    assert parameter_gradients(space.decode(params).coefficients, space.distributions()) == params


@METHODS
def test_a_differentiable_method_has_parameters_with_gradients(method: str, make_space: MakeSpace) -> None:
    space = make_space(method)
    found = set(space.differentiable_parameters)
    assert found <= space.distributions().keys()
    assert bool(found) == space.signature.differentiable
    assert {name.rpartition("/")[2] for name in found} <= {"weight", "t", "scale", "lambda"}


def test_fixed_parameters_have_no_gradients(make_space: MakeSpace) -> None:
    space = make_space("ties", rules=(BoundsRule({"weight": (0.5, 0.5), "lambda": (0.5, 1.5)}),))
    coefficients = space.decode(middle(space)).coefficients
    assert any("/weight" in name or "weight" in name for name in space.signature.differentiable_parameters)
    assert {name.rpartition("/")[2] for name in space.differentiable_parameters} == {"lambda"}
    assert parameter_gradients(coefficients, space.distributions()).keys() == space.distributions().keys()
