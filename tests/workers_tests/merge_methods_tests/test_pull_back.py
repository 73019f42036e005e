"""Slopes of every differentiable merge method: those of its own merges, masks and elections held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from search_spaces import METHOD_SIGNATURES
from search_spaces.errors import RecipeError
from workers.merge_methods import MERGE_METHODS, GroupParameters, ParameterGradients, SourceTensors

MakeParameters = Callable[..., GroupParameters]

DIFFERENTIABLE = [name for name, signature in METHOD_SIGNATURES.items() if signature.differentiable]
OTHERS = [name for name in METHOD_SIGNATURES if name not in DIFFERENTIABLE]
N_EXPERTS = {name: min(3, METHOD_SIGNATURES[name].max_experts or 3) for name in METHOD_SIGNATURES}
WEIGHTS = (0.7, 0.4, 0.9)
STEP = 5e-3
SHAPE = (61, 47)


@pytest.fixture(scope="module")
def sources() -> dict[int, SourceTensors]:
    """By number of experts. No weighted sum of task vectors is near 0: a small step elects the same signs."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(SHAPE, generator=generator)
    sizes = [0.1, 0.15, 0.37]
    vectors = []
    for size in sizes:
        signs = torch.randint(0, 2, SHAPE, generator=generator) * 2 - 1
        vectors.append(signs * (size + 0.01 * torch.rand(SHAPE, generator=generator)))
    experts = tuple(base + vector for vector in vectors)
    return {n: SourceTensors("a.weight", base, experts[:n]) for n in (1, 2, 3)}


@pytest.fixture(scope="module")
def gradient() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


def merged_product(
    method: str, sources: SourceTensors, parameters: GroupParameters, gradient: torch.Tensor
) -> torch.Tensor:
    """A loss that is linear in the merged tensor: its gradient there is `gradient`."""
    out = torch.empty(SHAPE)
    MERGE_METHODS[method].merge(sources, parameters, out)
    return (out.double() * gradient.double()).sum()


def numbers_of(parameters: GroupParameters) -> Iterator[tuple[str, int]]:
    """Name and owner of every number: -1 is the base, -2 all models."""
    owned = [(-1, parameters.base), *enumerate(parameters.experts), (-2, parameters.shared)]
    return ((name, owner) for owner, values in owned for name in values)


def moved(parameters: GroupParameters, key: tuple[str, int], step: float) -> GroupParameters:
    """The same with one number moved."""
    name, owner = key
    if owner == -1:
        return replace(parameters, base={**parameters.base, name: parameters.base[name] + step})
    if owner == -2:
        return replace(parameters, shared={**parameters.shared, name: parameters.shared[name] + step})
    experts = list(parameters.experts)
    experts[owner] = {**experts[owner], name: experts[owner][name] + step}
    return replace(parameters, experts=tuple(experts))


def flat(gradients: ParameterGradients) -> dict[tuple[str, int], float]:
    owned = [(-1, gradients.base), *enumerate(gradients.experts), (-2, gradients.shared)]
    return {(name, owner): value for owner, values in owned for name, value in values.items()}


def parameters_of(make: MakeParameters, method: str, n_experts: int, **numbers: object) -> GroupParameters:
    # In nearswap's terms, between the distances of some elements and those of others.
    weights = (0.12,) * n_experts if method == "nearswap" else WEIGHTS[:n_experts]
    found = make(method, weights, base=0.3, **numbers)
    if METHOD_SIGNATURES[method].merges_a_pair:
        return replace(found, experts=(*({} for _ in range(n_experts - 1)), found.experts[-1]))
    return found


CASES = [
    (method, n_experts, numbers)
    for method in DIFFERENTIABLE
    for n_experts in range(METHOD_SIGNATURES[method].min_experts, N_EXPERTS[method] + 1)
    for numbers in (
        {},
        {"normalize": True},
        {"density": 0.6, "epsilon": 0.2, "lambda": 1.3},
        {"density": 0.6, "epsilon": 0.2, "lambda": 1.3, "normalize": True, "rescale": 1.0},
        {"task_vectors": False, "normalize": True, "nuslerp_flatten": 0.0},
        {"task_vectors": False, "nuslerp_flatten": 0.0, "nuslerp_row_wise": 1.0},
    )
]


@pytest.mark.parametrize(("method", "n_experts", "numbers"), CASES)
def test_slopes_are_those_of_the_merge(
    sources: dict[int, SourceTensors],
    gradient: torch.Tensor,
    make_parameters: MakeParameters,
    method: str,
    n_experts: int,
    numbers: dict[str, float],
) -> None:
    parameters, tensors = parameters_of(make_parameters, method, n_experts, **numbers), sources[n_experts]
    found = flat(MERGE_METHODS[method].pull_back(tensors, parameters, gradient))
    wanted = {}
    for key in found:
        ends = [merged_product(method, tensors, moved(parameters, key, step), gradient) for step in (STEP, -STEP)]
        wanted[key] = float(ends[0] - ends[1]) / (2 * STEP)
    scale = max(map(abs, wanted.values()))
    assert found == pytest.approx(wanted, rel=2e-3, abs=2e-3 * scale + 1e-3)


@pytest.mark.parametrize(("method", "n_experts", "numbers"), CASES)
def test_every_number_with_a_slope_has_one(
    sources: dict[int, SourceTensors],
    gradient: torch.Tensor,
    make_parameters: MakeParameters,
    method: str,
    n_experts: int,
    numbers: dict[str, float],
) -> None:
    parameters = parameters_of(make_parameters, method, n_experts, **numbers)
    found = flat(MERGE_METHODS[method].pull_back(sources[n_experts], parameters, gradient))
    leading = METHOD_SIGNATURES[method].leading
    assert leading is not None
    assert {name for name, _ in found} == {leading.name} | (set(parameters.shared) & {"lambda"})
    with_leading = {key for key in numbers_of(parameters) if key[0] == leading.name}
    assert {key for key in found if key[0] == leading.name} == with_leading


@pytest.mark.parametrize("method", DIFFERENTIABLE)
def test_slopes_are_linear_in_the_gradient_and_a_sum_over_it(
    sources: dict[int, SourceTensors], gradient: torch.Tensor, make_parameters: MakeParameters, method: str
) -> None:
    n = N_EXPERTS[method]
    parameters = parameters_of(make_parameters, method, n, density=0.6, epsilon=0.2)
    upper = torch.zeros(SHAPE)
    upper[:20] = gradient[:20]
    whole, first, second = (
        flat(MERGE_METHODS[method].pull_back(sources[n], parameters, part.double()))
        for part in (gradient, upper, gradient - upper)
    )
    assert whole == pytest.approx({key: first[key] + second[key] for key in whole}, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", DIFFERENTIABLE)
def test_float32_is_float64_but_for_rounding(
    sources: dict[int, SourceTensors], gradient: torch.Tensor, make_parameters: MakeParameters, method: str
) -> None:
    n = N_EXPERTS[method]
    parameters = parameters_of(make_parameters, method, n, density=0.6, epsilon=0.2, normalize=True)
    single, double = (
        flat(MERGE_METHODS[method].pull_back(sources[n], parameters, each)) for each in (gradient, gradient.double())
    )
    scale = max(map(abs, double.values()))
    assert single == pytest.approx(double, rel=1e-4, abs=1e-4 * scale)
    assert single != double


@pytest.mark.parametrize("method", DIFFERENTIABLE)
def test_unchanged_experts_leave_only_what_is_not_constant(
    sources: dict[int, SourceTensors], gradient: torch.Tensor, make_parameters: MakeParameters, method: str
) -> None:
    n = N_EXPERTS[method]
    base = sources[n].base
    same = SourceTensors("a.weight", base, (base.clone(),) * n)
    for normalize in (False, True):
        parameters = parameters_of(make_parameters, method, n, normalize=normalize)
        found = flat(MERGE_METHODS[method].pull_back(same, parameters, gradient))
        assert MERGE_METHODS[method].is_constant(same, parameters) == all(abs(v) < 1e-6 for v in found.values())
        assert not MERGE_METHODS[method].is_constant(sources[n], parameters)


@pytest.mark.parametrize("method", [name for name in DIFFERENTIABLE if name.endswith("ties") or name == "della"])
def test_an_expert_of_weight_0_has_the_slope_of_a_little_of_it(
    sources: dict[int, SourceTensors], gradient: torch.Tensor, make_parameters: MakeParameters, method: str
) -> None:
    nothing, little = (
        MERGE_METHODS[method].pull_back(sources[3], make_parameters(method, (0.7, weight, 0.9)), gradient.double())
        for weight in (0.0, 1e-9)
    )
    assert nothing.experts[1]["weight"] == pytest.approx(little.experts[1]["weight"], rel=1e-6)
    assert nothing.experts[1]["weight"] != 0


@pytest.mark.parametrize("shape", [(0,), (), (3,), (1 << 17, 3)])
@pytest.mark.parametrize("method", ["linear", "task_arithmetic", "ties", "slerp"])
def test_every_shape_and_other_dtypes(make_parameters: MakeParameters, method: str, shape: tuple[int, ...]) -> None:
    base = torch.ones(shape, dtype=torch.bfloat16)
    tensors = SourceTensors("a.weight", base, (base * 2, base * 4))
    parameters = parameters_of(make_parameters, method, 2)
    found = MERGE_METHODS[method].pull_back(tensors, parameters, torch.ones(shape, dtype=torch.bfloat16))
    slopes = {"linear": (2, 4), "task_arithmetic": (1, 3), "ties": (1, 3), "slerp": (None, 2)}[method]
    for values, slope in zip(found.experts, slopes, strict=True):
        assert list(values.values()) == ([] if slope is None else pytest.approx([slope * base.numel()], rel=1e-5))


@pytest.mark.parametrize("method", OTHERS)
def test_a_method_without_slopes_says_so(
    sources: dict[int, SourceTensors], gradient: torch.Tensor, make_parameters: MakeParameters, method: str
) -> None:
    with pytest.raises(RecipeError, match=f"differentiable, but '{method}' is not"):
        MERGE_METHODS[method].pull_back(sources[2], make_parameters(method, WEIGHTS[:2]), gradient)
