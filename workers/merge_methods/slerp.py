"""Spherical interpolation between two models, tensor by tensor."""

from __future__ import annotations

import math

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import combine_linearly
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.geometry import PairGeometry

# Above it the angle is too small to divide by its sine: the arc is a straight line (as in mergekit).
_PARALLEL = 0.9995


class Slerp(MergeMethod):
    """θ = sin((1-t)Ω)/sin Ω · θ_1 + sin(tΩ)/sin Ω · θ_2, where Ω is the angle between the two tensors.

    Shoemake 1985, doi:10.1145/325165.325242, section 3.3, on tensors seen as vectors; the angle depends on
    the checkpoints alone and is measured once. Parallel tensors are interpolated linearly.
    """

    signature = METHOD_SIGNATURES["slerp"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        t = parameters.experts[-1]["t"]
        combine_linearly(tensors.last_pair, _scalars(t, tensors.pair_geometry), out)


def _scalars(t: float, geometry: PairGeometry) -> tuple[float, float]:
    if abs(geometry.cosine) > _PARALLEL:
        return 1 - t, t
    omega = math.acos(geometry.cosine)
    return math.sin((1 - t) * omega) / math.sin(omega), math.sin(t * omega) / math.sin(omega)
