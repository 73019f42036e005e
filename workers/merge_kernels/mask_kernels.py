"""The fused CPU loops of masked task vectors; see `cpu_kernels`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from workers.merge_kernels.block_sizes import MASK_BLOCK, RUN
from workers.merge_kernels.cpu_kernels import _at, _narrow, _widen


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
    """Mark elements in a mask; see `block_sizes`."""
    for place in range(start, stop):
        i = np.int64(order[place])
        bits[i // MASK_BLOCK * RUN + i % RUN] |= np.uint32(1) << np.uint32(i % MASK_BLOCK // RUN)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _hash(walk: Any, index: Any) -> Any:
    """`lowbias32`, of where the walk from a start, by a step, has come at an element."""
    x = np.uint32(walk[0] + np.uint32(np.uint32(index) * walk[1]))
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _factor(word: Any, bit: Any) -> Any:
    """1 for an element that is kept, 0 for another: in a product, what is no number stays none."""
    return np.float32(1) if np.uint32(word & bit) != 0 else np.float32(0)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _run_of(bits: Any, first: Any) -> Any:
    """The words, and the bit in them, of the run from the element `first`, a multiple of `RUN`."""
    start = first // MASK_BLOCK * RUN
    return bits[start : start + RUN], np.uint32(1 << (first % MASK_BLOCK // RUN))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mask_of(words: Any, step: Any, first: Any, like: Any) -> Any:
    """The same of one of many masks.

    Args:
        words: its address.
        step: words from one block of it to the next; 0 for a mask whose blocks are all the same.
        first: a multiple of `RUN`.
        like: any array of uint32.
    """
    start = first // MASK_BLOCK * step
    return _at(words, start + RUN, like)[start:], np.uint32(1 << (first % MASK_BLOCK // RUN))


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def keep_band(base: Any, expert: Any, edges: Any, bits: Any, blocks: Any) -> None:
    """Mark, beside what is marked, the elements whose magnitudes lie between two.

    Args:
        base: flat, `n`.
        expert: flat, `n`.
        edges: low, high: float32.
        bits: uint32, a mask; see `block_sizes`.
        blocks: of `MASK_BLOCK` elements: the first, and one past the last.
    """
    n, (low, high) = base.shape[0], edges
    for start in range(blocks[0] * MASK_BLOCK, min(n, blocks[1] * MASK_BLOCK), RUN):
        stop = min(n, start + RUN)
        mine, reference = expert[start:stop], base[start:stop]
        words, bit = _run_of(bits, start)
        for i in range(stop - start):
            magnitude = abs(_widen(mine[i]) - _widen(reference[i]))
            words[i] |= bit if (magnitude > low) & (magnitude < high) else np.uint32(0)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drop(walk: Any, limit: Any, bits: Any, blocks: Any) -> None:
    """Unmark what `DropMask` drops; see `keep_band`.

    Args:
        walk: start, step: uint32; see `DropMask`.
        limit: uint32.
        bits: a mask.
        blocks: the first, and one past the last.
    """
    every = np.uint32(0xFFFFFFFF)
    for start in range(blocks[0] * MASK_BLOCK, blocks[1] * MASK_BLOCK, RUN):
        words, bit = _run_of(bits, start)
        others = np.uint32(~bit)
        for i in range(RUN):
            words[i] &= every if _hash(walk, start + i) < limit else others


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drop_by_rank(walk: Any, limits: Any, ranks: Any, bits: Any, blocks: Any) -> None:
    """The same where the limit depends on an element's rank in its row.

    Args:
        walk: start, step: uint32; see `DropMask`.
        limits: float64: of rank 0, and from one rank to the next.
        ranks: flat, `n`.
        bits: a mask.
        blocks: the first, and one past the last.
    """
    n, every, (limit, step) = ranks.shape[0], np.uint32(0xFFFFFFFF), limits
    for start in range(blocks[0] * MASK_BLOCK, min(n, blocks[1] * MASK_BLOCK), RUN):
        stop = min(n, start + RUN)
        words, bit = _run_of(bits, start)
        mine, others = ranks[start:stop], np.uint32(~bit)
        for i in range(stop - start):
            hashed = _hash(walk, start + i)
            words[i] &= every if hashed < limit + mine[i] * step else others


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def norms(base: Any, expert: Any, bits: Any, sums: Any, blocks: Any) -> None:
    """The sum of magnitudes of a task vector, and of what a mask keeps of it; see `keep_band`.

    Args:
        base: flat, `n`.
        expert: flat, `n`.
        bits: a mask.
        sums: float64, `n_blocks x 2`; overwritten.
        blocks: the first, and one past the last.
    """
    n = base.shape[0]
    # Side by side, for additions wait for each other else; each adds 32 numbers before float64 takes over.
    whole, left = np.empty(RUN, np.float32), np.empty(RUN, np.float32)
    for block in range(blocks[0], blocks[1]):
        whole[:] = 0
        left[:] = 0
        for start in range(block * MASK_BLOCK, min(n, (block + 1) * MASK_BLOCK), RUN):
            stop = min(n, start + RUN)
            mine, reference = expert[start:stop], base[start:stop]
            words, bit = _run_of(bits, start)
            for i in range(stop - start):
                magnitude = abs(_widen(mine[i]) - _widen(reference[i]))
                whole[i] += magnitude
                left[i] += magnitude * _factor(words[i], bit)
        sums[block] = 0
        for i in range(RUN):
            sums[block, 0] += whole[i]
            sums[block, 1] += left[i]


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drop_measured(base: Any, expert: Any, draw: Any, bits: Any, sums: Any, blocks: Any) -> None:
    """`drop` from a mask that keeps all, then `norms`: in one call, for threads wait for each other between calls.

    Args:
        base: flat, `n`.
        expert: flat, `n`.
        draw: walk and limit of `drop`.
        bits: a mask; overwritten.
        sums: of `norms`.
        blocks: the first, and one past the last.
    """
    walk, limit = draw
    for block in range(blocks[0], blocks[1]):
        bits[block * RUN : (block + 1) * RUN] = np.uint32(0xFFFFFFFF)
        drop(walk, limit, bits, (block, block + 1))
        norms(base, expert, bits, sums, (block, block + 1))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _agrees(delta: Any, elected: Any) -> Any:
    """1 where a contribution has the elected sign, else 0. No branch: so the loops around it become vector code."""
    agrees = ((delta > 0) & (elected >= 0)) | ((delta < 0) & (elected < 0))
    return np.float32(1) if agrees else np.float32(0)


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge_masked(base: Any, experts: Any, masks: Any, rule: Any, out: Any, blocks: Any) -> None:  # noqa: C901
    """See `torch_kernels.merge_masked`.

    Args:
        base: flat, `n`.
        experts: uint64: addresses of flat arrays like `base`.
        masks: uint64, addresses of masks; steps, see `_mask_of`; any array of uint32.
        rule: weighing: float32, `n_experts x 2`: weight, rescaling; elect_sign; normalize; scale; divisor where no sign
            is elected.
        out: flat, `n`.
        blocks: of `MASK_BLOCK` elements: the first, and one past the last.
    """
    # One function, and long: what is divided into calls is no longer fused by the compiler.
    n, n_experts = out.shape[0], len(experts)
    words, steps, like = masks
    weighing, elect_sign, normalize, scale, whole_divisor = rule
    reference, sums = np.empty(RUN, np.float32), np.empty(RUN, np.float32)
    divisor, total = np.empty(RUN, np.float32), np.empty(RUN, np.float32)
    deltas = np.empty((n_experts, RUN), np.float32)  # masked and weighted
    for start in range(blocks[0] * MASK_BLOCK, min(n, blocks[1] * MASK_BLOCK), RUN):
        stop = min(n, start + RUN)
        size = stop - start
        sums[:] = 0
        part = base[start:stop]
        for i in range(size):
            reference[i] = _widen(part[i])
        for k in range(n_experts):
            part = _at(experts[k], n, base)[start:stop]
            mask, bit = _mask_of(words[k], steps[k], start, like)
            weight, rescaling, delta = weighing[k, 0], weighing[k, 1], deltas[k]
            for i in range(size):
                delta[i] = (_widen(part[i]) - reference[i]) * _factor(mask[i], bit) * rescaling * weight
                sums[i] += delta[i]
        if elect_sign:
            divisor[:] = 0
            total[:] = 0
            for k in range(n_experts):
                share, delta = weighing[k, 0] if normalize else np.float32(0), deltas[k]
                for i in range(size):
                    agrees = _agrees(delta[i], sums[i])
                    divisor[i] += share * agrees
                    total[i] += delta[i] * agrees
            for i in range(size):
                sums[i] = total[i] / divisor[i] if divisor[i] != 0 else total[i]
        else:
            for i in range(size):
                sums[i] /= whole_divisor
        result = out[start:stop]
        for i in range(size):
            result[i] = _narrow(reference[i] + sums[i] * scale, result[i])


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def merge_masked_pair(base: Any, experts: Any, masks: Any, rule: Any, out: Any, blocks: Any) -> None:
    """The same of two experts, the most usual number: in registers, at two thirds of the time."""
    n = out.shape[0]
    words, steps, like = masks
    weighing, elect_sign, normalize, scale, whole_divisor = rule
    (weight, rescaling), (weight_2, rescaling_2) = weighing[0], weighing[1]
    share, share_2 = (weight, weight_2) if normalize else (np.float32(0), np.float32(0))
    for start in range(blocks[0] * MASK_BLOCK, min(n, blocks[1] * MASK_BLOCK), RUN):
        stop = min(n, start + RUN)
        origin, result = base[start:stop], out[start:stop]
        part, part_2 = _at(experts[0], n, base)[start:stop], _at(experts[1], n, base)[start:stop]
        mask, bit = _mask_of(words[0], steps[0], start, like)
        mask_2, _ = _mask_of(words[1], steps[1], start, like)
        for i in range(stop - start):
            reference = _widen(origin[i])
            delta = (_widen(part[i]) - reference) * _factor(mask[i], bit) * rescaling * weight
            delta_2 = (_widen(part_2[i]) - reference) * _factor(mask_2[i], bit) * rescaling_2 * weight_2
            total = delta + delta_2
            divisor = whole_divisor
            if elect_sign:
                agrees, agrees_2 = _agrees(delta, total), _agrees(delta_2, total)
                total = delta * agrees + delta_2 * agrees_2
                divisor = share * agrees + share_2 * agrees_2
                divisor = divisor if divisor != 0 else np.float32(1)
            result[i] = _narrow(reference + total / divisor * scale, result[i])
