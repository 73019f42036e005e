"""The contract of every merge method: a new member of `MERGE_METHODS` is tested here without a change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import METHOD_SIGNATURES, MethodParameter, MethodSignature
from search_spaces.errors import CandidateError
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors, TaskArithmetic
from workers.merge_methods.sparse_arithmetic import SparseArithmetic

MakeSources = Callable[..., SourceTensors]
MakeParameters = Callable[..., GroupParameters]
Merge = Callable[..., torch.Tensor]

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
METHODS = sorted(MERGE_METHODS)
PAIR_METHODS = [name for name in METHODS if METHOD_SIGNATURES[name].merges_a_pair]
# Whose weights of 1 and 0 single out an expert, whatever their number is.
WEIGHTED = ["linear", *(n for n in METHODS if issubclass(type(MERGE_METHODS[n]), TaskArithmetic | SparseArithmetic))]
TASK_METHODS = [name for name in WEIGHTED if not METHOD_SIGNATURES[name].base_has_parameters]
# All of their experts count alike, or the number of them is fixed.
N_EXPERTS = {name: min(3, METHOD_SIGNATURES[name].max_experts or 3) for name in METHODS}
SYMMETRIC = ["model_stock", "karcher", "sce", "ram", "ramplus_tl"]
DELLAS = ["della", "della_linear"]
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
    found = merge(method, sources, weights, normalize=normalize)
    # The base plus a difference of float32 numbers is rounded twice, as in mergekit; that of shorter ones is exact.
    rounding = torch.finfo(dtype).eps if dtype == torch.float32 else 0
    torch.testing.assert_close(found, sources.experts[alone], rtol=rounding, atol=rounding)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [name for name in WEIGHTED if name not in TASK_METHODS])
@pytest.mark.parametrize("normalize", [False, True])
def test_weight_1_for_the_base_gives_it_back(
    make_sources: MakeSources, merge: Merge, method: str, normalize: bool, dtype: torch.dtype
) -> None:
    sources = make_sources(dtype)
    assert torch.equal(merge(method, sources, (0.0,) * 3, base=1.0, normalize=normalize), sources.base)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("method", "to"), [("slerp", 1.0), ("nearswap", 10.0)])
@pytest.mark.parametrize("n_experts", [1, 2])
def test_the_ends_of_an_interpolation_are_its_models(
    make_sources: MakeSources, merge: Merge, method: str, to: float, dtype: torch.dtype, n_experts: int
) -> None:
    sources = make_sources(dtype, n_experts=n_experts)
    models = (sources.base, *sources.experts)
    assert torch.equal(merge(method, sources, (0.0,) * n_experts), models[-2])
    assert torch.equal(merge(method, sources, (to,) * n_experts), models[-1])


@pytest.mark.parametrize("method", [name for name in METHODS if N_EXPERTS[name] == 2 or name == "multislerp"])
@pytest.mark.parametrize("task_vectors", [True, False])
def test_equal_models_are_their_merge(make_sources: MakeSources, merge: Merge, method: str, task_vectors: bool) -> None:
    one = make_sources(n_experts=1)
    sources = SourceTensors(one.name, one.base, one.experts * N_EXPERTS[method])
    if METHOD_SIGNATURES[method].merges_a_pair:
        sources = SourceTensors(one.name, one.experts[0], one.experts)
    found = merge(method, sources, WEIGHTS[: len(sources.experts)], normalize=True, task_vectors=task_vectors)
    torch.testing.assert_close(found, one.experts[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", SYMMETRIC)
def test_what_weighs_nobody_does_not_see_the_order(make_sources: MakeSources, merge: Merge, method: str) -> None:
    sources = make_sources()
    wanted = merge(method, sources, WEIGHTS)
    for order in permutations(range(3)):
        permuted = SourceTensors(sources.name, sources.base, tuple(sources.experts[i] for i in order))
        torch.testing.assert_close(merge(method, permuted, WEIGHTS), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", SYMMETRIC)
def test_experts_that_are_the_base_leave_it_as_it_is(make_sources: MakeSources, merge: Merge, method: str) -> None:
    base = make_sources().base
    found = merge(method, SourceTensors("a.weight", base, (base,) * 3), WEIGHTS)
    torch.testing.assert_close(found, base, rtol=1e-6, atol=1e-6)


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
    sources, weights = make_sources(n_experts=N_EXPERTS[method]), WEIGHTS[: N_EXPERTS[method]]
    first, again, other = (merge(method, sources, weights, density=0.5, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != METHOD_SIGNATURES[method].stochastic


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_sources_are_never_written(make_sources: MakeSources, merge: Merge, method: str, dtype: torch.dtype) -> None:
    n_experts = N_EXPERTS[method]
    sources, untouched = (make_sources(dtype, n_experts=n_experts) for _ in range(2))
    merge(method, sources, WEIGHTS[:n_experts], density=0.5)
    for found, wanted in zip((sources.base, *sources.experts), (untouched.base, *untouched.experts), strict=True):
        assert torch.equal(found, wanted)


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_threads_does_not_matter(make_sources: MakeSources, merge: Merge, method: str) -> None:
    n_experts, found = N_EXPERTS[method], []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        # Large enough to be divided among threads; what depends on the tensors alone is worked out anew.
        sources = make_sources(shape=(1200, 400), n_experts=n_experts)
        found.append(merge(method, sources, WEIGHTS[:n_experts], density=0.5, rescale=1.0))
        assert torch.get_num_threads() == n_threads
    assert torch.equal(*found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1,), (5000,), (3, 5, 7)])
def test_shape_does_not_matter(make_sources: MakeSources, merge: Merge, method: str, shape: tuple[int, ...]) -> None:
    sources, weights = make_sources(shape=shape, n_experts=N_EXPERTS[method]), WEIGHTS[: N_EXPERTS[method]]
    flat = SourceTensors(sources.name, sources.base.reshape(-1), tuple(e.reshape(-1) for e in sources.experts))
    found = merge(method, sources, weights, density=0.5)
    assert found.shape == shape
    assert found.isfinite().all()
    # These look at the rows of a tensor.
    if method not in ("arcee_fusion", *DELLAS) or len(shape) == 1:
        assert torch.equal(found.reshape(-1), merge(method, flat, weights, density=0.5))


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_allowed_number_gives_finite_weights(make_sources: MakeSources, method: str, data: st.DataObject) -> None:
    signature = METHOD_SIGNATURES[method]
    base, *drawn = data.draw(st.tuples(*[numbers_of(signature.parameters)] * (1 + N_EXPERTS[method])))
    experts = [compatible(signature, values) for values in drawn]
    normalize = signature.normalize is not None and data.draw(st.booleans())
    shared, task_vectors = data.draw(numbers_of(signature.shared_parameters)), data.draw(st.booleans())
    sources = make_sources(shape=(7, 10), n_experts=N_EXPERTS[method])
    out = torch.full((7, 10), float("nan"))
    parameters = GroupParameters(base, tuple(experts), normalize, 0, shared, task_vectors)
    try:
        MERGE_METHODS[method].merge(sources, parameters, out)
    except CandidateError:
        assume(False)
    assert out.isfinite().all()


def compatible(signature: MethodSignature, values: dict[str, float]) -> dict[str, float]:
    """The same numbers; where they cannot be together, with as much of `epsilon` as can be."""
    if signature.conflict(values) is None:
        return values
    return values | {"epsilon": 0.9 * min(values["density"], 1 - values["density"])}


def numbers_of(parameters: tuple[MethodParameter, ...]) -> st.SearchStrategy[dict[str, float]]:
    return st.fixed_dictionaries(
        {
            p.name: st.integers(int(p.minimum), min(20, int(p.maximum))).map(float)
            if p.is_whole
            else st.floats(p.minimum, p.maximum)
            for p in parameters
        }
    )


def arithmetic(method: str) -> tuple[SourceTensors, GroupParameters]:
    """Sources and numbers that need no generator."""
    given = {"weight": 0.7, "density": 0.5, "t": 0.3, "scale": 0.9}
    signature = METHOD_SIGNATURES[method]
    own, shared = (
        {p.name: float(given.get(p.name, p.default or 0)) for p in parameters}
        for parameters in (signature.parameters, signature.shared_parameters)
    )
    n_experts = min(3, signature.max_experts or 3)
    experts = tuple(torch.arange(500.0) * k for k in (2, 3, 5)[:n_experts])
    sources = SourceTensors("a.weight", torch.arange(500.0), experts)
    return sources, GroupParameters(own, (own,) * n_experts, False, 7, shared)


def digest(method: str) -> str:
    out = torch.empty(500)
    MERGE_METHODS[method].merge(*arithmetic(method), out)
    return hashlib.sha256(out.numpy().tobytes()).hexdigest()


_IN_ANOTHER_PROCESS = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("contract", sys.argv[1])
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
print(json.dumps({method: contract.digest(method) for method in contract.METHODS}))
"""


def test_a_fresh_process_with_another_hash_seed_makes_the_same_weights() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    command = [sys.executable, "-c", _IN_ANOTHER_PROCESS, __file__]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found == {method: digest(method) for method in METHODS}
