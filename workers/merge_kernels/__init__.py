"""The arithmetic of merging on one tensor: fused loops on the CPU, plain torch on every device.

Both read each source once, compute in float32 and round once into the result's dtype.
"""

from __future__ import annotations

from workers.merge_kernels.dispatch import combine_linearly, merge_masked
from workers.merge_kernels.masking import DropMask, MaskedMerge

__all__ = ["DropMask", "MaskedMerge", "combine_linearly", "merge_masked"]
