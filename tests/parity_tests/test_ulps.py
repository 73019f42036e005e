"""Units in the last place: counted over the numbers that a dtype has."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scripts.parity.ulps import Agreement, ulps_apart

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
FLOATS = st.floats(width=16, allow_nan=False)


def apart(first: float, second: float, dtype: torch.dtype = torch.float32) -> int:
    return int(ulps_apart(torch.tensor([first], dtype=dtype), torch.tensor([second], dtype=dtype)))


def stepped(value: Tensor, n: int) -> Tensor:
    """`n` numbers of the dtype further up."""
    for _ in range(n):
        value = torch.nextafter(value, torch.full_like(value, torch.inf))
    return value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("start", [-1.0, -1e-30, 0.0, 1.0, 3e30])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_step_is_one(dtype: torch.dtype, start: float, n: int) -> None:
    value = torch.tensor([start], dtype=dtype)
    assert ulps_apart(value, stepped(value, n)).tolist() == [n]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_zeros_are_one_number_and_their_neighbours_are_two_apart(dtype: torch.dtype) -> None:
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    assert apart(0.0, -0.0, dtype) == 0
    assert apart(-smallest, smallest, dtype) == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_number_is_beside_infinity(dtype: torch.dtype) -> None:
    assert apart(torch.finfo(dtype).max, torch.inf, dtype) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_not_a_number_is_far_from_every_number(dtype: torch.dtype) -> None:
    assert apart(torch.nan, -torch.nan, dtype) == 0
    assert apart(torch.nan, 1.0, dtype) > apart(-torch.inf, torch.inf, dtype)


@given(FLOATS, FLOATS, FLOATS)
def test_it_is_a_distance_on_a_line(a: float, b: float, c: float) -> None:
    low, middle, high = sorted((a, b, c))
    assert apart(low, high) == apart(high, low) == apart(low, middle) + apart(middle, high)


@pytest.mark.parametrize("other", [torch.zeros(2, dtype=torch.float16), torch.zeros(3)])
def test_other_dtypes_and_shapes_are_refused(other: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must have one dtype and shape, but got torch\.float32 \(2,\)"):
        ulps_apart(torch.zeros(2), other)


def test_agreements_add_up() -> None:
    one = torch.ones(4)
    near = Agreement.between(one, torch.stack([stepped(one[0], n) for n in (0, 1, 2, 5)]))
    assert near == Agreement(n_elements=4, n_within_1=2, max_ulps=5)
    assert near + Agreement.between(one, one) == Agreement(8, 6, 5)


@pytest.mark.parametrize(
    ("agreement", "kept"),
    [
        (Agreement(), True),
        (Agreement(100_000, 99_990, 2), True),
        (Agreement(100_000, 99_989, 2), False),
        (Agreement(100_000, 99_999, 3), False),
    ],
)
def test_parity_bounds_the_share_and_the_farthest(agreement: Agreement, kept: bool) -> None:
    assert agreement.kept is kept
