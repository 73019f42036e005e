"""The contract of every merge method: a new member of `MERGE_METHODS` is tested here without a change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import METHOD_SIGNATURES
from search_spaces.errors import CandidateError
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors

MakeSources = Callable[..., SourceTensors]
MakeParameters = Callable[..., GroupParameters]
Merge = Callable[..., torch.Tensor]

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
METHODS = sorted(MERGE_METHODS)
PAIR_METHODS = [name for name in METHODS if METHOD_SIGNATURES[name].n_models == 2]
WEIGHTED = [name for name in METHODS if name not in PAIR_METHODS]
TASK_METHODS = [name for name in WEIGHTED if not METHOD_SIGNATURES[name].base_has_parameters]
STOCHASTIC = [name for name in METHODS if METHOD_SIGNATURES[name].stochastic]
NORMALIZED = [
    (name, normalize)
    for name in METHODS
    for normalize in ([False, True] if METHOD_SIGNATURES[name].normalize is not None else [False])
]
WEIGHTS = (0.7, 0.4, 0.9)


def test_every_signature_has_a_method() -> None:
    assert MERGE_METHODS.keys() == METHOD_SIGNATURES.keys()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("method", "normalize"), [each for each in NORMALIZED if each[0] in WEIGHTED])
@pytest.mark.parametrize("alone", range(3))
def test_weight_1_for_one_expert_gives_it_back(
    make_sources: MakeSources, merge: Merge, method: str, normalize: bool, dtype: torch.dtype, alone: int
) -> None:
    sources = make_sources(dtype)
    weights = tuple(float(i == alone) for i in range(3))
    assert torch.equal(merge(method, sources, weights, normalize=normalize), sources.experts[alone])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [name for name in WEIGHTED if name not in TASK_METHODS])
@pytest.mark.parametrize("normalize", [False, True])
def test_weight_1_for_the_base_gives_it_back(
    make_sources: MakeSources, merge: Merge, method: str, normalize: bool, dtype: torch.dtype
) -> None:
    sources = make_sources(dtype)
    assert torch.equal(merge(method, sources, (0.0,) * 3, base=1.0, normalize=normalize), sources.base)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", PAIR_METHODS)
@pytest.mark.parametrize("n_experts", [1, 2])
def test_the_ends_of_an_interpolation_are_its_models(
    make_sources: MakeSources, merge: Merge, method: str, dtype: torch.dtype, n_experts: int
) -> None:
    sources = make_sources(dtype, n_experts=n_experts)
    models = (sources.base, *sources.experts)
    assert torch.equal(merge(method, sources, (0.0,) * n_experts), models[-2])
    assert torch.equal(merge(method, sources, (1.0,) * n_experts), models[-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("method", "normalize"), [each for each in NORMALIZED if each[0] in TASK_METHODS])
def test_zero_weights_give_the_base(
    make_sources: MakeSources, merge: Merge, method: str, normalize: bool, dtype: torch.dtype
) -> None:
    sources = make_sources(dtype)
    assert torch.equal(merge(method, sources, (0.0,) * 3, density=0.5, normalize=normalize), sources.base)


@pytest.mark.parametrize("method", [name for name in WEIGHTED if name not in TASK_METHODS])
def test_zero_weights_are_no_average(make_sources: MakeSources, merge: Merge, method: str) -> None:
    with pytest.raises(
        CandidateError, match=r"sum of the weights, which must not be 0; got .* for 'a\.weight'"
    ) as raised:
        merge(method, make_sources(), (0.0,) * 3, normalize=True)
    assert raised.value.reason == "zero_weights"


@pytest.mark.parametrize(("method", "normalize"), [each for each in NORMALIZED if each[0] in WEIGHTED])
def test_the_order_of_experts_does_not_matter(
    make_sources: MakeSources, merge: Merge, method: str, normalize: bool
) -> None:
    sources = make_sources()
    density = (1.0,) * 3 if method in STOCHASTIC else (0.3, 0.5, 0.8)  # masks belong to an expert's place
    wanted = merge(method, sources, WEIGHTS, density=density, normalize=normalize)
    for order in permutations(range(3)):
        permuted = SourceTensors(sources.name, sources.base, tuple(sources.experts[i] for i in order))
        weights, densities = tuple(WEIGHTS[i] for i in order), tuple(density[i] for i in order)
        found = merge(method, permuted, weights, density=densities, normalize=normalize)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_what_is_random_and_nothing_else(make_sources: MakeSources, merge: Merge, method: str) -> None:
    first, again, other = (merge(method, make_sources(), WEIGHTS, density=0.5, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != METHOD_SIGNATURES[method].stochastic


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_sources_are_never_written(make_sources: MakeSources, merge: Merge, method: str, dtype: torch.dtype) -> None:
    sources, untouched = make_sources(dtype), make_sources(dtype)
    merge(method, sources, WEIGHTS, density=0.5)
    for found, wanted in zip((sources.base, *sources.experts), (untouched.base, *untouched.experts), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1,), (5000,), (3, 5, 7)])
def test_shape_does_not_matter(make_sources: MakeSources, merge: Merge, method: str, shape: tuple[int, ...]) -> None:
    sources = make_sources(shape=shape)
    flat = SourceTensors(sources.name, sources.base.reshape(-1), tuple(e.reshape(-1) for e in sources.experts))
    found = merge(method, sources, WEIGHTS, density=0.5)
    assert found.shape == shape
    assert torch.equal(found.reshape(-1), merge(method, flat, WEIGHTS, density=0.5))


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_allowed_number_gives_finite_weights(make_sources: MakeSources, method: str, data: st.DataObject) -> None:
    signature = METHOD_SIGNATURES[method]
    numbers = st.fixed_dictionaries({p.name: st.floats(p.minimum, p.maximum) for p in signature.parameters})
    base, *experts = data.draw(st.tuples(*[numbers] * 4))
    normalize = signature.normalize is not None and data.draw(st.booleans())
    sources = make_sources(shape=(70,))
    out = torch.full((70,), float("nan"))
    try:
        MERGE_METHODS[method].merge(sources, GroupParameters(base, tuple(experts), normalize, seed=0), out)
    except CandidateError:
        assume(False)
    assert out.isfinite().all()


def digest(method: str, sources: SourceTensors, parameters: GroupParameters) -> str:
    out = torch.empty(sources.base.shape)
    MERGE_METHODS[method].merge(sources, parameters, out)
    return hashlib.sha256(out.numpy().tobytes()).hexdigest()


_IN_ANOTHER_PROCESS = """
import hashlib, json, sys, torch
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors
numbers = {"weight": 0.7, "density": 0.5, "t": 0.3}
sources = SourceTensors("a.weight", torch.arange(500.0), tuple(torch.arange(500.0) * k for k in (2, 3, 5)))
found = {}
for name, method in MERGE_METHODS.items():
    out = torch.empty(500)
    method.merge(sources, GroupParameters(numbers, (numbers,) * 3, False, 7), out)
    found[name] = hashlib.sha256(out.numpy().tobytes()).hexdigest()
print(json.dumps(found))
"""


def test_a_fresh_process_with_another_hash_seed_makes_the_same_weights() -> None:
    numbers = {"weight": 0.7, "density": 0.5, "t": 0.3}
    sources = SourceTensors("a.weight", torch.arange(500.0), tuple(torch.arange(500.0) * k for k in (2, 3, 5)))
    parameters = GroupParameters(numbers, (numbers,) * 3, normalize=False, seed=7)
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    command = [sys.executable, "-c", _IN_ANOTHER_PROCESS]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found == {method: digest(method, sources, parameters) for method in METHODS}
