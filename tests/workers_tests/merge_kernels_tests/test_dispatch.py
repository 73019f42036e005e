"""The fused CPU loops against the reference in plain torch, which a dtype, shape or stride must not tell apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workers.merge_kernels import (
    DropMask,
    MaskedMerge,
    MaskedTaskVector,
    RankBand,
    average,
    masked_norms,
    merge_masked,
    mix,
    torch_kernels,
)
from workers.merge_kernels.block_sizes import MASK_BLOCK
from workers.merge_kernels.pull_back import pull_back_masked

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
PAIRS = list(itertools.product(DTYPES, DTYPES))
# Each dtype on each side, and the pairs that merges have; every further pair costs seconds of compilation.
MASKED_PAIRS = [*zip(DTYPES, DTYPES, strict=True), (torch.float16, torch.float32), (torch.float32, torch.bfloat16)]
# One element, a part of a block, several blocks and a part, two dimensions.
SHAPES: list[tuple[int, ...]] = [(1,), (7,), (2 * MASK_BLOCK + 5,), (33, 65)]
SCALARS = (0.4, -1.2, 0.7, 1.1)
MERGE = MaskedMerge(
    (
        MaskedTaskVector(0.7, drop=DropMask(1, 0.6)),
        MaskedTaskVector(-0.4, rescaling=1.7),
        MaskedTaskVector(1.3, drop=DropMask(3, 0.3), rescaling=0.6),
    ),
    elect_sign=True,
    normalize=True,
    scale=1.1,
)


def tensors(shape: tuple[int, ...], dtype: torch.dtype, n: int = 4, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(n)]


def ranked(shape: tuple[int, ...], base: Tensor, expert: Tensor) -> MaskedMerge:
    """Masks of every kind over tensors of one shape: a band of the first expert, rows' ranks, uniform drops."""
    n = math.prod(shape)
    order = torch.argsort((expert.float() - base.float()).abs().reshape(-1)).int()
    ranks = torch.randperm(n, generator=torch.Generator().manual_seed(1)).to(torch.int16).view(shape)
    row = max(shape[-1], 2)
    return replace(
        MERGE,
        vectors=(
            MaskedTaskVector(0.7, band=RankBand(order, n // 4, max(1, 3 * n // 4))),
            MaskedTaskVector(-0.4, drop=DropMask(5, 0.5, ranks % row, 0.3, row), rescaling=1.2),
            MaskedTaskVector(1.3, drop=DropMask(3, 0.3)),
        ),
    )


def assert_within_one_ulp(found: Tensor, wanted: Tensor, magnitude: float) -> None:
    """Equal but for one unit in the last place, and for the order of float32 sums of terms of that magnitude."""
    info = torch.finfo(wanted.dtype)
    ulp = wanted.double().abs().clamp(min=info.smallest_normal) * info.eps
    bound = ulp + 8 * torch.finfo(torch.float32).eps * magnitude
    assert found.dtype == wanted.dtype
    assert ((found.double() - wanted.double()).abs() <= bound).all()


@pytest.mark.parametrize(("dtype", "out_dtype"), PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
def test_fused_mixture_is_the_reference_to_the_last_bit(
    dtype: torch.dtype, out_dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    sources = tensors(shape, dtype)
    found, wanted = torch.empty(shape, dtype=out_dtype), torch.empty(shape, dtype=out_dtype)
    mix(sources, SCALARS, found)
    torch_kernels.mix(sources, SCALARS, wanted)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(("dtype", "out_dtype"), PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("divisor", [None, 1.3])
def test_fused_average_is_the_reference(
    dtype: torch.dtype, out_dtype: torch.dtype, shape: tuple[int, ...], divisor: float | None
) -> None:
    sources = tensors(shape, dtype)
    found, wanted = torch.empty(shape, dtype=out_dtype), torch.empty(shape, dtype=out_dtype)
    average(sources, SCALARS, divisor, found)
    torch_kernels.average(sources, SCALARS, divisor, wanted)
    # To the bit where torch's `addcmul` rounds once, as it does on processors with a fused multiply-add.
    assert_within_one_ulp(found, wanted, magnitude=4)


@pytest.mark.parametrize(("dtype", "out_dtype"), MASKED_PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("elect_sign", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("n_experts", [2, 3])  # of two there is a loop of their own
def test_fused_masked_merge_is_the_reference_to_the_last_bit(
    dtype: torch.dtype,
    out_dtype: torch.dtype,
    shape: tuple[int, ...],
    elect_sign: bool,
    normalize: bool,
    n_experts: int,
) -> None:
    base, *experts = tensors(shape, dtype, 1 + n_experts)
    for masks in (
        MERGE,
        ranked(shape, base, experts[0]),
        MaskedMerge((MaskedTaskVector(0.7), MaskedTaskVector(-1), MaskedTaskVector(2))),
    ):
        merge = replace(masks, vectors=masks.vectors[:n_experts], elect_sign=elect_sign, normalize=normalize)
        found, wanted = torch.empty(shape, dtype=out_dtype), torch.empty(shape, dtype=out_dtype)
        merge_masked(base, experts, merge, found)
        torch_kernels.merge_masked(base, experts, merge, wanted)
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_fused_norms_are_the_reference(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    base, *experts = tensors(shape, dtype)
    for expert, vector in zip(experts, ranked(shape, base, experts[0]).vectors, strict=True):
        wanted = torch_kernels.masked_norms(base, expert, vector)
        found = masked_norms(base, expert, vector)
        assert found[:2] == pytest.approx(wanted[:2], rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_experts", [2, 3])
def test_a_mask_that_was_drawn_for_the_norms_serves_the_merge(shape: tuple[int, ...], n_experts: int) -> None:
    base, *experts = tensors(shape, torch.bfloat16, 1 + n_experts)
    vectors = (MERGE.vectors[0], replace(MERGE.vectors[2], rescaling=1.0), MERGE.vectors[1])[:n_experts]
    norms = [masked_norms(base, expert, vector) for expert, vector in zip(experts, vectors, strict=True)]
    assert [each.kept is None for each in norms] == [False, False, True][:n_experts]
    drawn = tuple(replace(vector, kept=each.kept) for vector, each in zip(vectors, norms, strict=True))
    found, wanted = torch.empty_like(base), torch.empty_like(base)
    merge_masked(base, experts, replace(MERGE, vectors=drawn), found)
    torch_kernels.merge_masked(base, experts, replace(MERGE, vectors=vectors), wanted)
    assert torch.equal(found, wanted)


_UNIT = st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 20_000),
    numbers=st.lists(
        st.tuples(st.floats(-10, 10), st.floats(1e-3, 1), st.tuples(_UNIT, _UNIT)), min_size=1, max_size=3
    ),
    elect_sign=st.booleans(),
    descending=st.booleans(),
    seed=st.integers(0, 2**64 - 3),
)
def test_fused_masked_merge_is_the_reference_for_any_numbers(
    n: int,
    numbers: list[tuple[float, float, tuple[float, float]]],
    elect_sign: bool,
    descending: bool,
    seed: int,
) -> None:
    # Rounded, so that many magnitudes are equal and bands end among them.
    base, *experts = (tensor.mul(4).round() for tensor in tensors((n,), torch.float32, 1 + len(numbers), seed))
    vectors = []
    for i, (expert, (weight, density, ends)) in enumerate(zip(experts, numbers, strict=True)):
        order = torch.argsort((expert - base).abs(), descending=descending).int()
        band = RankBand(order, *sorted(round(end * n) for end in ends))
        vectors.append(MaskedTaskVector(weight, band, DropMask(seed + i, density)))
    merge = MaskedMerge(tuple(vectors), elect_sign)
    found, wanted = torch.empty(n), torch.empty(n)
    merge_masked(base, experts, merge, found)
    torch_kernels.merge_masked(base, experts, merge, wanted)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("n_experts", [2, 3])
def test_what_is_no_number_stays_none(n_experts: int) -> None:
    base, *experts = tensors((1000,), torch.float32, 1 + n_experts)
    experts[0][::3] = math.nan
    merge, found = replace(MERGE, vectors=MERGE.vectors[:n_experts]), torch.empty(1000)
    merge_masked(base, experts, merge, found)
    assert torch.equal(found.isnan(), experts[0].isnan())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_blocks_of_the_reference_do_not_matter(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    base, *experts = tensors((1000,), dtype)
    whole, in_blocks = torch.empty(1000, dtype=dtype), torch.empty(1000, dtype=dtype)
    torch_kernels.merge_masked(base, experts, MERGE, whole)
    monkeypatch.setattr(torch_kernels, "BLOCK", 7)
    torch_kernels.merge_masked(base, experts, MERGE, in_blocks)
    assert torch.equal(whole, in_blocks)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_longer_tensor_begins_as_a_shorter_one(dtype: torch.dtype) -> None:
    long, short = torch.empty(5000, dtype=dtype), torch.empty(2049, dtype=dtype)
    base, *experts = tensors((5000,), dtype)
    merge_masked(base, experts, MERGE, long)
    merge_masked(base[:2049], [expert[:2049] for expert in experts], MERGE, short)
    assert torch.equal(long[:2049], short)


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_the_number_of_threads_does_not_matter() -> None:
    n = 600_000  # enough for several
    base, *experts = tensors((n,), torch.float32)
    found = []
    for n_threads in (1, 2, 7):
        torch.set_num_threads(n_threads)
        found.append(torch.empty(n))
        merge_masked(base, experts, MERGE, found[-1])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_tensors_of_several_dtypes_are_merged_as_their_float32_copies() -> None:
    sources = [t.to(dtype) for t, dtype in zip(tensors((5000,), torch.float32), (*DTYPES, torch.float16), strict=True)]
    found, wanted = torch.empty(5000), torch.empty(5000)
    mix(sources, SCALARS, found)
    mix([source.float() for source in sources], SCALARS, wanted)
    assert_within_one_ulp(found, wanted, magnitude=20)
    merge_masked(sources[0], sources[1:], MERGE, found)
    merge_masked(sources[0].float(), [source.float() for source in sources[1:]], MERGE, wanted)
    assert_within_one_ulp(found, wanted, magnitude=100)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sources_that_are_not_contiguous_are_merged_as_their_contiguous_copies(dtype: torch.dtype) -> None:
    sources = [tensor.T for tensor in tensors((65, 33), dtype)]
    found, wanted = torch.empty((33, 65), dtype=dtype), torch.empty((33, 65), dtype=dtype)
    mix(sources, SCALARS, found)
    mix([source.contiguous() for source in sources], SCALARS, wanted)
    assert_within_one_ulp(found, wanted, magnitude=20)
    merge_masked(sources[0], sources[1:], MERGE, found)
    merge_masked(sources[0].contiguous(), [source.contiguous() for source in sources[1:]], MERGE, wanted)
    assert_within_one_ulp(found, wanted, magnitude=100)


def alone(source: Tensor, out_dtype: torch.dtype) -> Tensor:
    """One source through the fused loops, beside zeros."""
    out = torch.empty(source.shape, dtype=out_dtype)
    mix([source, *[torch.zeros_like(source)] * 3], (1.0, 0.0, 0.0, 0.0), out)
    return out


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_16_bit_pattern_is_widened_as_torch_widens_it(dtype: torch.dtype) -> None:
    source = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    torch.testing.assert_close(alone(source, torch.float32), source.float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kind_of_float32_is_rounded_as_torch_rounds_it(dtype: torch.dtype) -> None:
    # Each upper half, with lower halves around those where ties are broken.
    upper = torch.arange(-(2**15), 2**15, dtype=torch.int32)[:, None] << 16
    lower = torch.tensor([0, 1, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=torch.int32)
    source = (upper | lower).view(torch.float32).reshape(-1)
    torch.testing.assert_close(alone(source, dtype), source.to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", range(4))
def test_nan_shows_in_the_result_and_nowhere_else(dtype: torch.dtype, place: int) -> None:
    sources = tensors((100,), dtype)
    sources[place][42] = float("nan")
    out = torch.empty(100, dtype=dtype)
    mix(sources, SCALARS, out)
    assert out.isnan().nonzero().tolist() == [[42]]
    merge_masked(sources[0], sources[1:], MERGE, out)
    assert out.isnan().nonzero().tolist() == [[42]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", range(4))
def test_infinity_shows_in_the_result(dtype: torch.dtype, place: int) -> None:
    sources = tensors((100,), dtype)
    sources[place][42] = float("inf")
    out = torch.empty(100, dtype=dtype)
    mix(sources, SCALARS, out)
    assert (~out.isfinite()).nonzero().tolist() == [[42]]
    assert out[42] == float("inf") * SCALARS[place]
    merge_masked(sources[0], sources[1:], MERGE, out)
    assert (~out.isfinite()).nonzero().tolist() == [[42]]


def test_what_is_too_large_for_the_dtype_becomes_infinite() -> None:
    sources = [torch.full((3,), 60000.0, dtype=torch.float16)] * 4
    out = torch.empty(3, dtype=torch.float16)
    mix(sources, (1.0, 1.0, 0.0, 0.0), out)
    assert out.isinf().all()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_as_many_sources_are_combined_as_are_given(n: int) -> None:
    sources, out = tensors((100,), torch.float32, n), torch.empty(100)
    mix(sources, SCALARS[:1] * n, out)
    torch.testing.assert_close(out, SCALARS[0] * torch.stack(sources).sum(0))


def test_scalar_tensors_are_merged() -> None:
    out = torch.empty((), dtype=torch.float32)
    mix([torch.tensor(2.0)] * 4, (1.0, 1.0, 0.0, 0.0), out)
    assert out.item() == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("elect_sign", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_fused_slopes_are_the_references(
    dtype: torch.dtype, shape: tuple[int, ...], elect_sign: bool, normalize: bool
) -> None:
    base, *experts = tensors(shape, dtype)
    gradient = tensors(shape, torch.float32, n=1, seed=1)[0]
    for masks in (MERGE, ranked(shape, base, experts[0])):
        for weight in (0.7, 0.0):
            vectors = (replace(masks.vectors[0], weight=weight), *masks.vectors[1:])
            merge = replace(masks, vectors=vectors, elect_sign=elect_sign, normalize=normalize)
            # In float64 the fused loop does not apply.
            wanted = pull_back_masked(base, experts, merge, gradient.double())
            found = pull_back_masked(base, experts, merge, gradient)
            scale = max(map(abs, (*wanted[0], wanted[1])))
            assert found[0] == pytest.approx(wanted[0], rel=1e-4, abs=1e-4 * scale)
            assert found[1] == pytest.approx(wanted[1], rel=1e-4, abs=1e-4 * scale)
