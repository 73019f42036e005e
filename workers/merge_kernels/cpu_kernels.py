"""The same arithmetic as fused CPU loops, compiled by numba at first use and cached on disk.

A block of every source is widened to float32 in the cache, combined there, rounded once and written:
each byte of the checkpoints is read once and no temporary is larger than a block. numba has no bfloat16
and no CPU float16, so both travel as integers: bfloat16 as uint16, float16 as int16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

# 2 Ki elements: 8 KiB of float32 per source, so that the blocks of some ten sources stay in the L1 and L2 caches.
BLOCK = 2048

_NOTHING = np.float32(1e-8)  # as in torch_kernels


# ---- 16-bit floats -----------------------------------------------------------------------------


@intrinsic  # type: ignore[untyped-decorator]
def _half_to_float(_typing: Any, _bits: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.int16), generate


@intrinsic  # type: ignore[untyped-decorator]
def _float_to_half(_typing: Any, _value: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.int16(types.float32), generate


def _widen(bits: Any) -> Any:
    raise NotImplementedError


@overload(_widen, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _widen_overload(bits: Any) -> Callable[[Any], Any]:
    if bits == types.uint16:
        return lambda bits: np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)
    if bits == types.int16:
        return lambda bits: _half_to_float(bits)  # noqa: PLW0108  numba wants a Python function here
    return lambda bits: bits


def _narrow(value: Any, like: Any) -> Any:
    raise NotImplementedError


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _round_to_bfloat16(value: Any) -> Any:
    """Round to nearest, ties to even; NaN stays NaN."""
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    rounded = np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
    return np.uint16(0x7FC0) if np.isnan(value) else rounded


@overload(_narrow, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _narrow_overload(value: Any, like: Any) -> Callable[[Any, Any], Any]:
    if like == types.uint16:
        return lambda value, like: _round_to_bfloat16(value)
    if like == types.int16:
        return lambda value, like: _float_to_half(value)
    return lambda value, like: value


# ---- kernels -----------------------------------------------------------------------------------


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mix(x: Any) -> Any:
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def combine(sources: Any, scalars: Any, out: Any) -> None:
    """out = Σ scalars[i] · sources[i], two flat arrays of one length or more."""
    n = out.shape[0]
    last = len(sources) - 1
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        # The first source opens the sum and the last one closes it: fewer passes over the block.
        total = np.empty(BLOCK, np.float32)
        part, scalar = sources[0][start:stop], scalars[0]
        for i in range(size):
            total[i] = scalar * _widen(part[i])
        for k in range(1, last):
            part, scalar = sources[k][start:stop], scalars[k]
            for i in range(size):
                total[i] += scalar * _widen(part[i])
        part, scalar = sources[last][start:stop], scalars[last]
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(total[i] + scalar * _widen(part[i]), result[i])


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge_masked(base: Any, experts: Any, numbers: Any, drops: Any, flags: Any, out: Any) -> None:  # noqa: C901, PLR0912
    """See `torch_kernels.merge_masked`.

    Args:
        base: flat, `n`.
        experts: a tuple of flat arrays, `n` each.
        numbers: float32, `n_experts x 3`: weight, threshold, rescaling.
        drops: uint64, `n_experts x 2`: key, limit.
        flags: (elect_sign, normalize).
        out: flat, `n`.
    """
    # One function, and long: what is divided into calls is no longer fused by the compiler.
    n = out.shape[0]
    n_experts = len(experts)
    elect_sign, normalize = flags
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        reference = np.empty(BLOCK, np.float32)
        tuned = np.empty((n_experts, BLOCK), np.float32)
        delta = np.empty((n_experts, BLOCK), np.float32)  # masked and weighted
        election = np.zeros(BLOCK, np.float32)
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
        for k in range(n_experts):
            part = experts[k][start:stop]
            weight, threshold, rescaling = numbers[k, 0], numbers[k, 1], numbers[k, 2]
            scale = weight * rescaling
            values = tuned[k]
            contribution = delta[k]
            for i in range(size):
                values[i] = _widen(part[i])
                d = values[i] - reference[i]
                contribution[i] = scale * d if abs(d) >= threshold else np.float32(0)
            if drops[k, 1] < 1 << 32:
                key, limit = np.uint32(drops[k, 0]), np.uint32(drops[k, 1])
                for i in range(size):
                    if _mix(_mix(np.uint32(start + i)) ^ key) >= limit:
                        contribution[i] = np.float32(0)
            for i in range(size):
                election[i] += contribution[i]
        # Without an election every expert counts, also where its element was dropped.
        divisor = np.full(BLOCK, np.float32(0) if elect_sign else numbers[:, 0].sum(), np.float32)
        factors = np.zeros(BLOCK, np.float32)
        total = np.zeros(BLOCK, np.float32)
        for k in range(n_experts):
            weight, rescaling = numbers[k, 0], numbers[k, 2]
            values, contribution = tuned[k], delta[k]
            # No branch depends on the element, and none on a flag inside a loop: so the loops become vector code.
            if elect_sign:
                for i in range(size):
                    c, e = contribution[i], election[i]
                    agrees = ((c > 0) & (e >= 0)) | ((c < 0) & (e < 0))
                    w = weight if agrees else np.float32(0)
                    divisor[i] += w
                    factors[i] += w * rescaling
                    total[i] += w * rescaling * values[i]
            else:
                for i in range(size):
                    w = weight * rescaling if contribution[i] != 0 else np.float32(0)
                    factors[i] += w
                    total[i] += w * values[i]
        if normalize:
            for i in range(size):
                share = np.float32(1) / divisor[i] if abs(divisor[i]) >= _NOTHING else np.float32(1)
                factors[i] *= share
                total[i] *= share
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow((np.float32(1) - factors[i]) * reference[i] + total[i], result[i])
