"""The fused CPU loop of a masked merge's slopes; see `cpu_kernels`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from workers.merge_kernels.block_sizes import BLOCK, RUN
from workers.merge_kernels.cpu_kernels import _at, _widen
from workers.merge_kernels.mask_kernels import _factor, _mask_of

# Numbers that sum side by side: additions wait for each other else.
_LANES = 64


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mask(delta: Any, words: Any, step: Any, start: Any, like: Any) -> None:
    """Set to zero what a mask does not keep of a block; see `mask_kernels._mask_of`."""
    for first in range(0, BLOCK, RUN):
        part = delta[first : first + RUN]
        mask, bit = _mask_of(words, step, start + first, like)
        for i in range(RUN):
            part[i] *= _factor(mask[i], bit)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _product(first: Any, second: Any, lanes: Any) -> Any:
    lanes[:] = 0
    for start in range(0, BLOCK, _LANES):
        a, b = first[start : start + _LANES], second[start : start + _LANES]
        for lane in range(_LANES):
            lanes[lane] += np.float64(a[lane] * b[lane])
    return lanes.sum()


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _elect(deltas: Any, weighing: Any, work: Any) -> None:
    """Set to zero what does not agree with its element's elected sign; add up what does, and its weights.

    Args:
        deltas: float32, `n_experts x BLOCK`: masked and rescaled.
        weighing: float32, `n_experts x 2`: weight, rescaling.
        work: float32, `3 x BLOCK`: weighted sum of all (for the election), of what agrees, of its weights.
    """
    work[:] = 0
    elected, total, divisor = work[0], work[1], work[2]
    for k in range(len(deltas)):
        weight, delta = weighing[k, 0], deltas[k]
        for i in range(BLOCK):
            elected[i] += delta[i] * weight
    for k in range(len(deltas)):
        weight, delta = weighing[k, 0], deltas[k]
        # A weight of 0 is taken as a little above it.
        sign = np.float32(-1) if weight < 0 else np.float32(1)
        for i in range(BLOCK):
            signed = delta[i] * sign
            agrees = ((signed > 0) & (elected[i] >= 0)) | ((signed < 0) & (elected[i] < 0))
            delta[i] *= np.float32(1) if agrees else np.float32(0)
            divisor[i] += weight if agrees else np.float32(0)
            total[i] += delta[i] * weight


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _divide(slope: Any, work: Any) -> None:
    """Divide slopes by the weights that agree; where those are 0, the merge does not divide either."""
    divisor = work[2]
    for i in range(BLOCK):
        slope[i] /= divisor[i] if divisor[i] != 0 else np.float32(1)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _take_merged(deltas: Any, work: Any) -> None:
    """Take the merged change from the changes that agree: a larger weight enlarges the divisor, too."""
    total, divisor = work[1], work[2]
    for i in range(BLOCK):
        total[i] = total[i] / divisor[i] if divisor[i] != 0 else np.float32(0)
    for k in range(len(deltas)):
        delta = deltas[k]
        for i in range(BLOCK):
            # What agrees is no 0, and of what does not agree nothing is left.
            delta[i] -= total[i] if delta[i] != 0 else np.float32(0)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def masked_slopes(base: Any, experts: Any, masks: Any, rule: Any, target: Any, blocks: Any) -> None:
    """See `pull_back.pull_back_masked`; without an election the products with the masked task vectors.

    Args:
        base: flat, `n`.
        experts: see `mask_kernels.merge_masked`.
        masks: see there.
        rule: see there; the scale is left to the caller, and without an election the divisor too.
        target: gradient: flat float32, `n`; sums: float64, `n_blocks x n_experts + 1`: each expert's, and the
            scale's (left alone without an election).
        blocks: the first, and one past the last.
    """
    n, n_experts = base.shape[0], len(experts)
    words, steps, like = masks
    weighing, elect_sign, normalize, _, _ = rule
    gradient, sums = target
    reference, slope = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    deltas, work = np.empty((n_experts, BLOCK), np.float32), np.empty((3, BLOCK), np.float32)
    lanes = np.empty(_LANES, np.float64)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        # What lies beyond the tensor's end counts nothing.
        slope[:] = 0
        deltas[:] = 0
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
            slope[i] = gradient[start + i]
        for k in range(n_experts):
            part = _at(experts[k], n, base)[start:stop]
            rescaling, delta = weighing[k, 1], deltas[k]
            for i in range(size):
                delta[i] = _widen(part[i]) - reference[i]
            _mask(delta, words[k], steps[k], start, like)
            for i in range(size):
                delta[i] *= rescaling
        if elect_sign:
            _elect(deltas, weighing, work)
            if normalize:
                _divide(slope, work)
            # With divided slopes, that of the sum is that of the merged change.
            sums[block, n_experts] = _product(slope, work[1], lanes)
            if normalize:
                _take_merged(deltas, work)
        for k in range(n_experts):
            sums[block, k] = _product(slope, deltas[k], lanes)
