"""What every method's signature promises."""

from __future__ import annotations

import pytest

from search_spaces import METHOD_SIGNATURES, MethodSignature

EVERY = pytest.mark.parametrize("signature", METHOD_SIGNATURES.values(), ids=list(METHOD_SIGNATURES))


def test_signatures_are_registered_by_their_names() -> None:
    assert all(signature.name == name for name, signature in METHOD_SIGNATURES.items())


def test_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        METHOD_SIGNATURES["mine"] = METHOD_SIGNATURES["linear"]  # type: ignore[index]


@EVERY
def test_default_bounds_lie_within_the_range(signature: MethodSignature) -> None:
    for parameter in signature.parameters:
        assert parameter.minimum <= parameter.low < parameter.high <= parameter.maximum


@EVERY
def test_parameters_have_distinct_names(signature: MethodSignature) -> None:
    names = [parameter.name for parameter in signature.parameters]
    assert names
    assert len(set(names)) == len(names)


@EVERY
def test_parameter_is_found_by_name(signature: MethodSignature) -> None:
    assert all(signature.parameter(parameter.name) is parameter for parameter in signature.parameters)


@EVERY
def test_unknown_parameter_is_a_key_error(signature: MethodSignature) -> None:
    with pytest.raises(KeyError, match="gamma"):
        signature.parameter("gamma")


@EVERY
def test_a_source_is_cited(signature: MethodSignature) -> None:
    assert "arXiv:" in signature.reference or "doi:" in signature.reference


@EVERY
def test_a_pair_has_no_weights_to_normalise(signature: MethodSignature) -> None:
    assert (signature.n_models == 2) == (signature.normalize is None)
    assert (signature.n_models == 2) == ("weight" not in [parameter.name for parameter in signature.parameters])


@EVERY
def test_randomness_comes_from_a_density(signature: MethodSignature) -> None:
    assert not signature.stochastic or signature.parameter("density").minimum > 0
