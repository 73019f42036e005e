"""The fused CPU loops of masked task vectors; see `cpu_kernels`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from workers.merge_kernels.cpu_kernels import _EIGHTH, BLOCK, _at, _mix_bits, _narrow, _widen

# Numbers that sum side by side: additions wait for each other else.
_LANES = 64


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _magnitude(base: Any, expert: Any, i: Any) -> Any:
    return abs(np.float32(_widen(expert[i])) - np.float32(_widen(base[i])))


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _run_end(base: Any, expert: Any, order: Any, low: Any, high: Any) -> Any:
    """One past the last place from `low` to `high` whose magnitude is that of the place `low`."""
    wanted = _magnitude(base, expert, order[low])
    while low + 1 < high:
        middle = (low + high) // 2
        if _magnitude(base, expert, order[middle]) == wanted:
            low = middle
        else:
            high = middle
    return low + 1


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _run_start(base: Any, expert: Any, order: Any, low: Any, high: Any) -> Any:
    """The first place from `low` to `high`, excluded, whose magnitude is that of the last."""
    wanted = _magnitude(base, expert, order[high - 1])
    low, high = low - 1, high - 1
    while low + 1 < high:
        middle = (low + high) // 2
        if _magnitude(base, expert, order[middle]) == wanted:
            high = middle
        else:
            low = middle
    return high


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def band_edges(base: Any, expert: Any, order: Any, first: Any, last: Any) -> Any:
    """The magnitudes between which elements at the places `first` to `last` of an order lie, and where ties are cut.

    Args:
        base: flat, `n`.
        expert: flat, `n`.
        order: int32, `n`: the elements by their magnitude, ascending or descending.
        first: place.
        last: one past the last place, above `first`.

    Returns:
        low, high: float32; what lies strictly between them is in the band.
        runs: (start, stop, start, stop) of places whose elements equal `low` or `high`, and are in the band as well.
    """
    n = len(order)
    a, z = _magnitude(base, expert, order[first]), _magnitude(base, expert, order[last - 1])
    opens = first == 0 or _magnitude(base, expert, order[first - 1]) != a
    closes = last == n or _magnitude(base, expert, order[last]) != z
    runs = np.zeros(4, np.int64)
    if a == z and not (opens and closes):
        runs[0], runs[1] = first, last
        return a, a, runs
    if not opens:
        runs[0], runs[1] = first, _run_end(base, expert, order, first, last)
    if not closes:
        runs[2], runs[3] = _run_start(base, expert, order, first, last), last
    below, above = np.float32(-1), np.float32(np.inf)
    # An edge that no tie is cut at belongs to the band.
    if a <= z:
        low = np.nextafter(a, below) if opens else a
        high = np.nextafter(z, above) if closes else z
    else:
        low = np.nextafter(z, below) if closes else z
        high = np.nextafter(a, above) if opens else a
    return low, high, runs


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def set_bits(order: Any, start: Any, stop: Any, bits: Any) -> None:
    """Mark elements in a mask of bits: see `_EIGHTH`."""
    for place in range(start, stop):
        i = np.int64(order[place])
        inside = i % BLOCK
        bits[i // BLOCK * _EIGHTH + inside % _EIGHTH] |= np.uint8(1 << (inside // _EIGHTH))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mask_block(delta: Any, size: Any, hashes: Any, numbers: Any, bits: Any, rows: Any) -> None:
    """Set to zero what one expert's masks take out of a block; by a product, so that what is no number stays none.

    Args:
        delta: float32, `BLOCK`: its task vector.
        size: elements of the block.
        hashes: uint32, `BLOCK`: of the elements' indices.
        numbers: float64: whether there is a band, its low and high; whether a drop, its key, limit, limit per rank.
        bits: uint8, of the block: elements of the band that equal its ends, or none.
        rows: of the block: the ranks in rows, on which the drop's limit depends, or none.
    """
    if numbers[0] > 0:
        low, high = np.float32(numbers[1]), np.float32(numbers[2])
        if len(bits):
            # Beyond `size` lies what is never read.
            for eighth in range(8):
                part, bit = delta[eighth * _EIGHTH : (eighth + 1) * _EIGHTH], np.uint8(1 << eighth)
                for i in range(_EIGHTH):
                    magnitude = abs(part[i])
                    kept = ((magnitude > low) & (magnitude < high)) | ((bits[i] & bit) != 0)
                    part[i] *= np.float32(1) if kept else np.float32(0)
        else:
            for i in range(size):
                magnitude = abs(delta[i])
                delta[i] *= np.float32(1) if (magnitude > low) & (magnitude < high) else np.float32(0)
    if numbers[3] > 0:
        key, limit, step = np.uint32(numbers[4]), numbers[5], numbers[6]
        if step > 0:
            for i in range(size):
                kept = _mix_bits(hashes[i] ^ key) < limit + rows[i] * step
                delta[i] *= np.float32(1) if kept else np.float32(0)
        else:
            whole = np.uint32(limit)
            for i in range(size):
                delta[i] *= np.float32(1) if _mix_bits(hashes[i] ^ key) < whole else np.float32(0)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _hash_indices(start: Any, hashes: Any) -> None:
    """The half of an element's hash that no expert changes."""
    first = np.uint32(start)
    for i in range(BLOCK):
        hashes[i] = _mix_bits(np.uint32(first + np.uint32(i)))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _sum_of_magnitudes(delta: Any, lanes: Any) -> Any:
    lanes[:] = 0
    for start in range(0, BLOCK, _LANES):
        part = delta[start : start + _LANES]
        for lane in range(_LANES):
            lanes[lane] += np.float64(abs(part[lane]))
    return lanes.sum()


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def masked_norms(base: Any, expert: Any, masks: Any, sums: Any, blocks: Any) -> None:
    """The sum of magnitudes of a task vector, and of what `_mask_block` leaves of it; in float64, for each block.

    Args:
        base: flat, `n`.
        expert: flat, `n`.
        masks: numbers, see `_mask_block`; bits: uint8, an eighth of a byte per element, or none; rows: `n` or none.
        sums: `n_blocks x 2`.
        blocks: the first, and one past the last.
    """
    n = base.shape[0]
    numbers, bits, rows = masks
    delta, lanes, hashes = np.empty(BLOCK, np.float32), np.empty(_LANES, np.float64), np.empty(BLOCK, np.uint32)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        mine, reference = expert[start:stop], base[start:stop]
        delta[:] = 0
        for i in range(stop - start):
            delta[i] = _widen(mine[i]) - _widen(reference[i])
        sums[block, 0] = _sum_of_magnitudes(delta, lanes)
        if numbers[3] > 0:
            _hash_indices(start, hashes)
        _mask_block(delta, stop - start, hashes, numbers, bits[block * _EIGHTH :], rows[start:])
        sums[block, 1] = _sum_of_magnitudes(delta, lanes)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge_masked(base: Any, experts: Any, masks: Any, rule: Any, out: Any, blocks: Any) -> None:  # noqa: C901, PLR0912
    """See `torch_kernels.merge_masked`.

    Args:
        base: flat, `n`.
        experts: uint64: addresses of flat arrays like `base`.
        masks: numbers: float64, `n_experts x 7`, see `_mask_block`; bits and rows: uint64, addresses of what
            `masked_norms` takes, or 0; places: any array of the rows' dtype.
        rule: weighing: float32, `n_experts x 2`: weight, rescaling; elect_sign; normalize; scale; divisor where no sign
            is elected.
        out: flat, `n`.
        blocks: the first, and one past the last.
    """
    # One function, and long: what is divided into calls is no longer fused by the compiler.
    n = out.shape[0]
    n_experts = len(experts)
    numbers, bits, rows, places = masks
    weighing, elect_sign, normalize, scale, whole_divisor = rule
    drops = False
    for k in range(n_experts):
        drops |= numbers[k, 3] > 0
    reference, hashes = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.uint32)
    deltas = np.empty((n_experts, BLOCK), np.float32)  # masked and weighted
    sums, divisor, total = (np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32))
    no_bits = np.empty(0, np.uint8)
    for block in range(blocks[0], blocks[1]):
        start = block * BLOCK
        stop = min(n, start + BLOCK)
        size = stop - start
        sums[:] = 0
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
        if drops:
            _hash_indices(start, hashes)
        for k in range(n_experts):
            part = _at(experts[k], n, base)[start:stop]
            weight, rescaling = weighing[k, 0], weighing[k, 1]
            delta = deltas[k]
            for i in range(size):
                delta[i] = _widen(part[i]) - reference[i]
            tied = _at(bits[k], (block + 1) * _EIGHTH, no_bits)[block * _EIGHTH :] if bits[k] else no_bits
            mine = _at(rows[k], n, places)[start:stop] if rows[k] else places
            _mask_block(delta, size, hashes, numbers[k], tied, mine)
            if rescaling != np.float32(1):
                for i in range(size):
                    delta[i] *= rescaling
            for i in range(size):
                delta[i] *= weight
                sums[i] += delta[i]
        if elect_sign:
            divisor[:] = 0
            total[:] = 0
            for k in range(n_experts):
                weight, delta = weighing[k, 0], deltas[k]
                # No branch depends on the element: so the loop becomes vector code.
                for i in range(size):
                    agrees = ((delta[i] > 0) & (sums[i] >= 0)) | ((delta[i] < 0) & (sums[i] < 0))
                    divisor[i] += weight if agrees else np.float32(0)
                    total[i] += delta[i] * (np.float32(1) if agrees else np.float32(0))
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
