"""Merge methods: one file each, one contract, all registered in `MERGE_METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.dare_linear import DareLinear
from workers.merge_methods.dare_ties import DareTies
from workers.merge_methods.linear import Linear
from workers.merge_methods.slerp import Slerp
from workers.merge_methods.task_arithmetic import TaskArithmetic
from workers.merge_methods.ties import Ties

_METHODS: tuple[MergeMethod, ...] = (Linear(), Slerp(), TaskArithmetic(), Ties(), DareLinear(), DareTies())

MERGE_METHODS: Mapping[str, MergeMethod] = MappingProxyType({method.signature.name: method for method in _METHODS})

__all__ = [
    "MERGE_METHODS",
    "DareLinear",
    "DareTies",
    "GroupParameters",
    "Linear",
    "MergeMethod",
    "Slerp",
    "SourceTensors",
    "TaskArithmetic",
    "Ties",
]
