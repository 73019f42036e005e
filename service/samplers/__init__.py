"""Samplers: one file each, one contract, all registered in `SAMPLERS`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.samplers._base import Sampler, SearchShape, TrialSeededSampler
from service.samplers.auto import choose_sampler
from service.samplers.cma_es import CmaEs
from service.samplers.cma_sweep import CmaEsSweep
from service.samplers.gaussian_process import GaussianProcess
from service.samplers.gradient_search import GradientSearch
from service.samplers.grid import Grid
from service.samplers.map_surrogate import Map
from service.samplers.nsga2 import Nsga2
from service.samplers.nsga3 import Nsga3
from service.samplers.random_search import RandomSearch
from service.samplers.tpe import Tpe

_SAMPLERS: tuple[Sampler, ...] = (
    RandomSearch(),
    Grid(),
    Nsga2(),
    Nsga3(),
    Tpe(),
    GaussianProcess(),
    CmaEs(),
    GradientSearch(),
    CmaEsSweep(),
    Map(),
)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for sampler in _SAMPLERS})

__all__ = [
    "SAMPLERS",
    "CmaEs",
    "CmaEsSweep",
    "GaussianProcess",
    "GradientSearch",
    "Grid",
    "Map",
    "Nsga2",
    "Nsga3",
    "RandomSearch",
    "Sampler",
    "SearchShape",
    "Tpe",
    "TrialSeededSampler",
    "choose_sampler",
]
