"""In what pieces the fused loops go through a tensor."""

from __future__ import annotations

# 2 Ki elements: 8 KiB of float32 per source, so that the blocks of some ten sources stay in the L1 and L2 caches.
BLOCK = 2048
# Neighbours that masked merges compute side by side: 1 KiB of float32 for each of a loop's arrays.
RUN = 256
# What is kept of a tensor is a bit for each element: 32 runs share as many words as a run is long, so that all that is
# done to an element's bit is done to vectors of words.
MASK_BLOCK = 32 * RUN
