"""Merge methods: one file each, one contract, all registered in `MERGE_METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.arcee_fusion import ArceeFusion
from workers.merge_methods.breadcrumbs import Breadcrumbs
from workers.merge_methods.breadcrumbs_ties import BreadcrumbsTies
from workers.merge_methods.dare_linear import DareLinear
from workers.merge_methods.dare_ties import DareTies
from workers.merge_methods.della import Della
from workers.merge_methods.della_linear import DellaLinear
from workers.merge_methods.karcher import Karcher
from workers.merge_methods.linear import Linear
from workers.merge_methods.model_stock import ModelStock
from workers.merge_methods.multislerp import MultiSlerp
from workers.merge_methods.nearswap import NearSwap
from workers.merge_methods.nuslerp import NuSlerp
from workers.merge_methods.parameter_gradients import ParameterGradients
from workers.merge_methods.passthrough import Passthrough
from workers.merge_methods.ram import Ram
from workers.merge_methods.ramplus_tl import RamPlusTensorLocal
from workers.merge_methods.sce import Sce
from workers.merge_methods.slerp import Slerp
from workers.merge_methods.task_arithmetic import TaskArithmetic
from workers.merge_methods.ties import Ties

_METHODS: tuple[MergeMethod, ...] = (
    Linear(),
    Slerp(),
    TaskArithmetic(),
    Ties(),
    DareLinear(),
    DareTies(),
    Della(),
    DellaLinear(),
    Breadcrumbs(),
    BreadcrumbsTies(),
    ModelStock(),
    NuSlerp(),
    MultiSlerp(),
    Karcher(),
    Sce(),
    ArceeFusion(),
    NearSwap(),
    Ram(),
    RamPlusTensorLocal(),
    Passthrough(),
)

MERGE_METHODS: Mapping[str, MergeMethod] = MappingProxyType({method.signature.name: method for method in _METHODS})

__all__ = [
    "MERGE_METHODS",
    "ArceeFusion",
    "Breadcrumbs",
    "BreadcrumbsTies",
    "DareLinear",
    "DareTies",
    "Della",
    "DellaLinear",
    "GroupParameters",
    "Karcher",
    "Linear",
    "MergeMethod",
    "ModelStock",
    "MultiSlerp",
    "NearSwap",
    "NuSlerp",
    "ParameterGradients",
    "Passthrough",
    "Ram",
    "RamPlusTensorLocal",
    "Sce",
    "Slerp",
    "SourceTensors",
    "TaskArithmetic",
    "Ties",
]
