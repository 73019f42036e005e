"""What each merge method takes: its parameters, their bounds, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from search_spaces.method_signature import BaseRole, MethodParameter, MethodSignature, ParameterKind, Ranking

# Above 1 a task vector is extrapolated, which pays where skills fight; negative weights unlearn.
_TASK_WEIGHT = MethodParameter("weight", minimum=-10.0, maximum=10.0, low=0.0, high=1.5)
_AVERAGE_WEIGHT = MethodParameter("weight", minimum=0.0, maximum=10.0, low=0.0, high=1.0)
# A density of 0 would drop the expert whole (and DARE divides by it): a weight of 0 says that.
_DENSITY = MethodParameter("density", minimum=1e-3, maximum=1.0, low=0.1, high=1.0, default=1.0)
# So that every density has probabilities between 0 and 1 with every `epsilon`.
_DELLA_DENSITY = replace(_DENSITY, low=0.2, high=0.8)
_DELLA_EPSILON = MethodParameter("epsilon", 0.0, 0.5, low=0.0, high=0.19, default=0.15, searched=False)
_OUTLIERS = MethodParameter("gamma", minimum=0.0, maximum=0.999, low=0.0, high=0.1, default=0.01, searched=False)
_INTERPOLATION = MethodParameter("t", minimum=0.0, maximum=1.0, low=0.0, high=1.0)
# An absolute difference of weights: those of language models have a size of about 0.02.
_NEARNESS = MethodParameter("t", minimum=0.0, maximum=10.0, low=0.0, high=0.01)
_SCALE = MethodParameter("scale", minimum=-10.0, maximum=10.0, low=0.5, high=1.5, default=1.0)
_LAMBDA = MethodParameter("lambda", minimum=-10.0, maximum=10.0, low=0.5, high=1.5, default=1.0, searched=False)
_TOP_SHARE = MethodParameter("select_topk", minimum=1e-3, maximum=1.0, low=0.1, high=1.0, default=1.0)
# What changed less counts as unchanged.
_CHANGED = MethodParameter("epsilon", minimum=0.0, maximum=1.0, low=0.0, high=1e-3, default=1e-5)
_UNIQUE_GAIN = MethodParameter("r", minimum=0.0, maximum=10.0, low=0.0, high=1.0, default=0.1)
_UNIQUE_CAP = MethodParameter("alpha", minimum=0.0, maximum=10.0, low=0.0, high=1.0, default=0.2)
_ITERATIONS = MethodParameter("max_iter", 1, 1000, 1, 20, default=10, kind=ParameterKind.INTEGER)
_TOLERANCE = MethodParameter("tol", 1e-12, 0.1, 1e-8, 1e-3, default=1e-5, searched=False)


def _switch(name: str, default: bool, *, searched: bool = False) -> MethodParameter:
    return MethodParameter(name, 0, 1, 0, 1, float(default), ParameterKind.SWITCH, searched)


_NO_RESCALE, _RESCALE = (_LAMBDA, _switch("rescale", default=False)), (_LAMBDA, _switch("rescale", default=True))

_YU = "Yu et al. 2024, Language models are super Mario, arXiv:2311.03099"
_DEEP = "Deep et al. 2024, DELLA-Merging, arXiv:2406.11617"
_DAVARI = "Davari and Belilovsky 2023, Model Breadcrumbs, arXiv:2312.06795"
_ELECTION = "with the sign election of Yadav et al. 2023, arXiv:2306.01708"
_RAM = "Reinforced Agent Merging, arXiv:2601.13572"

_SIGNATURES = (
    MethodSignature(
        "linear",
        (_AVERAGE_WEIGHT,),
        "Wortsman et al. 2022, Model soups, arXiv:2203.05482",
        base=BaseRole.WEIGHED,
        normalize=True,
    ),
    MethodSignature(
        "slerp",
        (_INTERPOLATION,),
        "Shoemake 1985, Animating rotation with quaternion curves, doi:10.1145/325165.325242",
        base=BaseRole.PARTNER,
        max_experts=2,
    ),
    MethodSignature(
        "task_arithmetic",
        (_TASK_WEIGHT,),
        "Ilharco et al. 2023, Editing models with task arithmetic, arXiv:2212.04089",
        (_LAMBDA,),
        normalize=False,
    ),
    MethodSignature(
        "ties",
        (_TASK_WEIGHT, _DENSITY),
        "Yadav et al. 2023, TIES-Merging, arXiv:2306.01708",
        _NO_RESCALE,
        normalize=True,
        ranking=Ranking.DESCENDING,
    ),
    MethodSignature("dare_linear", (_TASK_WEIGHT, _DENSITY), _YU, _RESCALE, normalize=False, stochastic=True),
    MethodSignature(
        "dare_ties", (_TASK_WEIGHT, _DENSITY), f"{_YU}, {_ELECTION}", _RESCALE, normalize=False, stochastic=True
    ),
    MethodSignature(
        "della",
        (_TASK_WEIGHT, _DELLA_DENSITY, _DELLA_EPSILON),
        f"{_DEEP}, {_ELECTION}",
        _RESCALE,
        normalize=True,
        stochastic=True,
        ranking=Ranking.ROWS,
    ),
    MethodSignature(
        "della_linear",
        (_TASK_WEIGHT, _DELLA_DENSITY, _DELLA_EPSILON),
        _DEEP,
        _RESCALE,
        normalize=False,
        stochastic=True,
        ranking=Ranking.ROWS,
    ),
    MethodSignature(
        "breadcrumbs",
        (_TASK_WEIGHT, _DENSITY, _OUTLIERS),
        _DAVARI,
        _NO_RESCALE,
        normalize=False,
        ranking=Ranking.ASCENDING,
    ),
    MethodSignature(
        "breadcrumbs_ties",
        (_TASK_WEIGHT, _DENSITY, _OUTLIERS),
        f"{_DAVARI}, {_ELECTION}",
        _NO_RESCALE,
        normalize=False,
        ranking=Ranking.ASCENDING,
    ),
    MethodSignature(
        "model_stock",
        (),
        "Jang et al. 2024, Model Stock, arXiv:2403.19522",
        (_switch("filter_wise", default=False, searched=True),),
        min_experts=2,
        differentiable=False,
    ),
    MethodSignature(
        "nuslerp",
        (_AVERAGE_WEIGHT,),
        "Shoemake 1985, doi:10.1145/325165.325242, on task vectors, whole or by row or column (mergekit's NuSLERP)",
        (_switch("nuslerp_flatten", default=True), _switch("nuslerp_row_wise", default=False)),
        base=BaseRole.OPTIONAL_ORIGIN,
        min_experts=2,
        max_experts=2,
    ),
    MethodSignature(
        "multislerp",
        (_AVERAGE_WEIGHT,),
        "Buss and Fillmore 2001, Spherical averages, doi:10.1145/502122.502124, in one step (mergekit's Multi-SLERP)",
        base=BaseRole.OPTIONAL_ORIGIN,
        normalize=True,
        normalize_key="normalize_weights",
    ),
    MethodSignature(
        "karcher",
        (),
        "Karcher 1977, Riemannian center of mass, doi:10.1002/cpa.3160300502; for language models arXiv:2603.04972",
        (_ITERATIONS, _TOLERANCE),
        base=BaseRole.ABSENT,
        differentiable=False,
    ),
    MethodSignature("sce", (), "Wan et al. 2024, FuseChat, arXiv:2408.07990", (_TOP_SHARE,), differentiable=False),
    MethodSignature(
        "arcee_fusion",
        (),
        "Arcee Fusion, as in mergekit 0.1.5, https://pypi.org/project/mergekit/",
        base=BaseRole.PARTNER,
        max_experts=2,
        differentiable=False,
    ),
    MethodSignature(
        "nearswap",
        (_NEARNESS,),
        "NearSwap 2024, https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
        base=BaseRole.PARTNER,
        max_experts=2,
    ),
    MethodSignature("ram", (), _RAM, (_CHANGED,), differentiable=False),
    MethodSignature(
        "ramplus_tl",
        (),
        f"{_RAM}, per tensor",
        (_UNIQUE_GAIN, _UNIQUE_CAP, replace(_CHANGED, searched=False)),
        differentiable=False,
    ),
    MethodSignature(
        "passthrough",
        (_SCALE,),
        "One model, its tensors scaled, as in mergekit 0.1.5, https://pypi.org/project/mergekit/",
        base=BaseRole.ABSENT,
        max_experts=1,
    ),
)

METHOD_SIGNATURES: Mapping[str, MethodSignature] = MappingProxyType({s.name: s for s in _SIGNATURES})
