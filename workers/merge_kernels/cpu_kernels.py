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


@intrinsic  # type: ignore[untyped-decorator]
def _multiply_add(_typing: Any, _x: Any, _y: Any, _z: Any) -> tuple[Any, Callable[..., Any]]:
    """x · y + z with one rounding, as torch's `addcmul` has it on CPUs."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


# ---- kernels -----------------------------------------------------------------------------------


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mix_bits(x: Any) -> Any:
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def average(sources: Any, weights: Any, divisor: Any, divides: Any, out: Any) -> None:
    """out = Σ weights[i] · sources[i] / divisor; flat arrays of one length."""
    n = out.shape[0]
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        total = np.zeros(BLOCK, np.float32)
        for k in range(len(sources)):
            part, weight = sources[k][start:stop], weights[k]
            for i in range(size):
                total[i] = _multiply_add(np.float32(_widen(part[i])), weight, total[i])
        if divides:
            for i in range(size):
                total[i] /= divisor
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(total[i], result[i])


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def mix(sources: Any, scalars: Any, out: Any) -> None:
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
def add_deltas(base: Any, experts: Any, weights: Any, divisor: Any, scale: Any, out: Any) -> None:
    """out = base + scale · Σ weights[i] · (experts[i] - base) / divisor; flat arrays of one length."""
    n = out.shape[0]
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        reference = np.empty(BLOCK, np.float32)
        total = np.zeros(BLOCK, np.float32)
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
        for k in range(len(experts)):
            part, weight = experts[k][start:stop], weights[k]
            for i in range(size):
                total[i] += (_widen(part[i]) - reference[i]) * weight
        if divisor != np.float32(1):
            for i in range(size):
                total[i] /= divisor
        if scale != np.float32(1):
            for i in range(size):
                total[i] *= scale
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(reference[i] + total[i], result[i])


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mask_block(delta: Any, start: Any, size: Any, numbers: Any, band: Any, rows: Any) -> None:
    """Multiply with zero what one expert's masks take out of a block: what is not finite shows all the same.

    Args:
        delta: float32, `BLOCK`: its task vector.
        start: index of the block's first element.
        size: elements of the block.
        numbers: float64: threshold, band (first, last), drop (key, limit, limit per rank); negative ends keep all.
        band: int32, `n` or none: the ranks that the band bounds.
        rows: int32, `n` or none: the ranks in rows, on which the drop's limit depends.
    """
    threshold = np.float32(numbers[0])
    if threshold > 0:
        for i in range(size):
            delta[i] *= np.float32(abs(delta[i]) >= threshold)
    if numbers[2] >= 0:
        first, last = np.int64(numbers[1]), np.int64(numbers[2])
        mine = band[start : start + size]
        for i in range(size):
            delta[i] *= np.float32((mine[i] >= first) & (mine[i] < last))
    if numbers[4] >= 0:
        key, limit, step = np.uint32(numbers[3]), numbers[4], numbers[5]
        if step > 0:
            places = rows[start : start + size]
            for i in range(size):
                kept = _mix_bits(_mix_bits(np.uint32(start + i)) ^ key) < limit + places[i] * step
                delta[i] *= np.float32(kept)
        else:
            whole = np.uint64(limit)
            for i in range(size):
                kept = np.uint64(_mix_bits(_mix_bits(np.uint32(start + i)) ^ key)) < whole
                delta[i] *= np.float32(kept)


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def masked_norms(base: Any, expert: Any, numbers: Any, band: Any, rows: Any) -> Any:
    """The sum of magnitudes of a task vector, and of what `_mask_block` leaves of it; in float64."""
    n = base.shape[0]
    n_blocks = (n + BLOCK - 1) // BLOCK
    sums = np.zeros((n_blocks, 2), np.float64)
    for block in numba.prange(n_blocks):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        delta = np.empty(BLOCK, np.float32)
        mine, reference = expert[start:stop], base[start:stop]
        for i in range(stop - start):
            delta[i] = _widen(mine[i]) - _widen(reference[i])
            sums[block, 0] += abs(delta[i])
        _mask_block(delta, start, stop - start, numbers, band, rows)
        for i in range(stop - start):
            sums[block, 1] += abs(delta[i])
    return sums[:, 0].sum(), sums[:, 1].sum()


@numba.njit(parallel=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge_masked(  # noqa: C901, PLR0912, PLR0913, PLR0917
    base: Any, experts: Any, weighing: Any, masks: Any, bands: Any, rows: Any, rule: Any, out: Any
) -> None:
    """See `torch_kernels.merge_masked`.

    Args:
        base: flat, `n`.
        experts: a tuple of flat arrays, `n` each.
        weighing: float32, `n_experts x 2`: weight, rescaling.
        masks: float64, `n_experts x 6`: see `_mask_block`.
        bands: a tuple of arrays, one per expert: see `_mask_block`.
        rows: the same.
        rule: (elect_sign, normalize, scale, divisor where no sign is elected).
        out: flat, `n`.
    """
    # One function, and long: what is divided into calls is no longer fused by the compiler.
    n = out.shape[0]
    n_experts = len(experts)
    elect_sign, normalize, scale, whole_divisor = rule
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        reference = np.empty(BLOCK, np.float32)
        deltas = np.empty((n_experts, BLOCK), np.float32)  # masked and weighted
        sums = np.zeros(BLOCK, np.float32)
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
        for k in range(n_experts):
            part = experts[k][start:stop]
            weight, rescaling = weighing[k, 0], weighing[k, 1]
            delta = deltas[k]
            for i in range(size):
                delta[i] = _widen(part[i]) - reference[i]
            _mask_block(delta, start, size, masks[k], bands[k], rows[k])
            if rescaling != np.float32(1):
                for i in range(size):
                    delta[i] *= rescaling
            for i in range(size):
                delta[i] *= weight
                sums[i] += delta[i]
        if elect_sign:
            divisor = np.zeros(BLOCK, np.float32)
            total = np.zeros(BLOCK, np.float32)
            for k in range(n_experts):
                weight, delta = weighing[k, 0], deltas[k]
                # No branch depends on the element: so the loop becomes vector code.
                for i in range(size):
                    agrees = ((delta[i] > 0) & (sums[i] >= 0)) | ((delta[i] < 0) & (sums[i] < 0))
                    divisor[i] += weight * np.float32(agrees)
                    total[i] += delta[i] * np.float32(agrees)
            for i in range(size):
                sums[i] = total[i] / divisor[i] if normalize & (divisor[i] != 0) else total[i]
        elif normalize:
            for i in range(size):
                sums[i] /= whole_divisor
        if scale != np.float32(1):
            for i in range(size):
                sums[i] *= scale
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(reference[i] + sums[i], result[i])
