"""What every method's signature promises."""

from __future__ import annotations

import json
from itertools import product

import pytest

from search_spaces import METHOD_SIGNATURES, MethodSignature
from service.specification.schema import SpaceSection

EVERY = pytest.mark.parametrize("signature", METHOD_SIGNATURES.values(), ids=list(METHOD_SIGNATURES))


def test_signatures_are_registered_by_their_names() -> None:
    assert all(signature.name == name for name, signature in METHOD_SIGNATURES.items())


def test_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        METHOD_SIGNATURES["mine"] = METHOD_SIGNATURES["linear"]  # type: ignore[index]


@EVERY
def test_default_bounds_lie_within_the_range(signature: MethodSignature) -> None:
    for parameter in signature.all_parameters:
        assert parameter.minimum <= parameter.low < parameter.high <= parameter.maximum
        low, high = parameter.usual_bounds
        assert parameter.minimum <= low <= high <= parameter.maximum
        assert parameter.default is None or parameter.minimum <= parameter.default <= parameter.maximum


@EVERY
def test_what_is_not_searched_has_a_value(signature: MethodSignature) -> None:
    assert all(parameter.searched or parameter.default is not None for parameter in signature.all_parameters)


@EVERY
def test_what_can_be_searched_can_be_bounded_in_a_specification(signature: MethodSignature) -> None:
    for parameter in signature.all_parameters:
        bounds = SpaceSection.model_validate_json(json.dumps({parameter.name: [parameter.low, parameter.high]}))
        assert bounds.bounds_given == {parameter.name: (parameter.low, parameter.high)}


@EVERY
def test_usual_bounds_hold_no_conflict(signature: MethodSignature) -> None:
    for corner in product(*(parameter.usual_bounds for parameter in signature.parameters)):
        values = {parameter.name: value for parameter, value in zip(signature.parameters, corner, strict=True)}
        assert signature.conflict(values) is None


@pytest.mark.parametrize(("density", "epsilon"), [(0.9, 0.15), (0.1, 0.15), (0.15, 0.15)])
def test_probabilities_out_of_reach_are_a_conflict(density: float, epsilon: float) -> None:
    conflict = METHOD_SIGNATURES["della"].conflict({"density": density, "epsilon": epsilon})
    assert conflict is not None
    assert f"but got {density:g} and {epsilon:g}" in conflict


@EVERY
def test_parameters_have_distinct_names(signature: MethodSignature) -> None:
    names = [parameter.name for parameter in signature.all_parameters]
    assert bool(names) == (signature.name != "arcee_fusion")
    assert len(set(names)) == len(names)


@EVERY
def test_parameter_is_found_by_name(signature: MethodSignature) -> None:
    assert all(signature.parameter(parameter.name) is parameter for parameter in signature.all_parameters)


@EVERY
def test_unknown_parameter_is_a_key_error(signature: MethodSignature) -> None:
    with pytest.raises(KeyError, match="poetry"):
        signature.parameter("poetry")


@EVERY
def test_a_source_is_cited(signature: MethodSignature) -> None:
    assert any(kind in signature.reference for kind in ("arXiv:", "doi:", "https://"))


@EVERY
def test_only_weights_are_normalised(signature: MethodSignature) -> None:
    weighed = [parameter.name for parameter in signature.parameters if parameter.name == "weight"]
    assert signature.normalize is None or weighed


@EVERY
def test_only_what_weighs_models_has_a_gradient(signature: MethodSignature) -> None:
    assert signature.differentiable == (signature.leading is not None)


@EVERY
def test_a_pair_is_two_models(signature: MethodSignature) -> None:
    assert not signature.merges_a_pair or signature.max_experts == 2


@EVERY
def test_randomness_comes_from_a_density(signature: MethodSignature) -> None:
    assert not signature.stochastic or signature.parameter("density").minimum > 0
