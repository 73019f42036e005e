"""The arithmetic of merging on one tensor: fused loops on the CPU, plain torch on every device.

Both read each source once, compute in float32 and round once into the result's dtype.
"""

from __future__ import annotations

from workers.merge_kernels.dispatch import average, masked_norms, merge_masked, mix
from workers.merge_kernels.masking import DropMask, MaskedMerge, MaskedTaskVector, RankBand

__all__ = ["DropMask", "MaskedMerge", "MaskedTaskVector", "RankBand", "average", "masked_norms", "merge_masked", "mix"]
