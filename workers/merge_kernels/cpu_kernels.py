"""The same arithmetic as fused CPU loops, compiled by numba at first use and cached on disk.

A block of every source is widened to float32 in the cache, combined there, rounded once and written:
each byte of the checkpoints is read once and no temporary is larger than a block. numba has no bfloat16
and no CPU float16, so both travel as integers: bfloat16 as uint16, float16 as int16. Sources travel as addresses:
a tuple of arrays would be compiled anew for every number of models. Each call covers the blocks
from a first to a last one without the lock of the interpreter, so that `dispatch` may share a tensor among threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from workers.merge_kernels.block_sizes import BLOCK

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


# ---- sources -----------------------------------------------------------------------------------


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(_typing: Any, _address: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.uint64), generate


def _at(address: Any, n: Any, like: Any) -> Any:
    raise NotImplementedError


@overload(_at, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _at_overload(address: Any, n: Any, like: Any) -> Callable[[Any, Any, Any], Any]:
    dtype = like.dtype
    return lambda address, n, like: numba.carray(_pointer(address), (n,), dtype)


# ---- kernels -----------------------------------------------------------------------------------


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def average(sources: Any, like: Any, weighing: Any, out: Any, blocks: Any) -> None:
    """out = Σ weights[i] · sources[i] / divisor, of two sources or more.

    Args:
        sources: uint64: addresses of flat arrays of `out`'s length.
        like: any array of their dtype.
        weighing: weights in float32, and the divisor in float32.
        out: flat.
        blocks: the first, and one past the last.
    """
    n = out.shape[0]
    weights, divisor = weighing
    final = len(sources) - 1
    total = np.empty(BLOCK, np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        # The first source opens the sum and the last one closes it: fewer passes over the block.
        part, weight = _at(sources[0], n, like)[start:stop], weights[0]
        for i in range(size):
            total[i] = weight * _widen(part[i])
        for k in range(1, final):
            part, weight = _at(sources[k], n, like)[start:stop], weights[k]
            for i in range(size):
                total[i] = _multiply_add(np.float32(_widen(part[i])), weight, total[i])
        part, weight = _at(sources[final], n, like)[start:stop], weights[final]
        result = out[start:stop]
        # One loop for both: a division by 1 changes nothing.
        for i in range(size):
            closed = _multiply_add(np.float32(_widen(part[i])), weight, total[i])
            result[i] = _narrow(closed / divisor, result[i])


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def mix(sources: Any, like: Any, scalars: Any, out: Any, blocks: Any) -> None:
    """out = Σ scalars[i] · sources[i], of two sources or more; see `average`."""
    n = out.shape[0]
    final = len(sources) - 1
    total = np.empty(BLOCK, np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        # The first source opens the sum and the last one closes it: fewer passes over the block.
        part, scalar = _at(sources[0], n, like)[start:stop], scalars[0]
        for i in range(size):
            total[i] = scalar * _widen(part[i])
        for k in range(1, final):
            part, scalar = _at(sources[k], n, like)[start:stop], scalars[k]
            for i in range(size):
                total[i] += scalar * _widen(part[i])
        part, scalar = _at(sources[final], n, like)[start:stop], scalars[final]
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(total[i] + scalar * _widen(part[i]), result[i])


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def add_deltas(base: Any, experts: Any, weighing: Any, out: Any, blocks: Any) -> None:
    """out = base + scale · Σ weights[i] · (experts[i] - base) / divisor; `base` is an array, see `average`."""
    n = out.shape[0]
    weights, divisor, scale = weighing
    reference = np.empty(BLOCK, np.float32)
    total = np.empty(BLOCK, np.float32)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        origin = base[start:stop]
        part, weight = _at(experts[0], n, base)[start:stop], weights[0]
        for i in range(size):
            reference[i] = _widen(origin[i])
            total[i] = (_widen(part[i]) - reference[i]) * weight
        for k in range(1, len(experts)):
            part, weight = _at(experts[k], n, base)[start:stop], weights[k]
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
