"""What each merge method takes: its parameters, their bounds, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class MethodParameter:
    """One number that a method takes per expert and parameter group.

    Args:
        name: the field's word for it: `weight`, `density`, `t`.
        minimum: the smallest value that has a meaning.
        maximum: the largest value that has a meaning.
        low: where a search begins by default.
        high: where a search ends by default.
    """

    name: str
    minimum: float
    maximum: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MethodSignature:
    """The part of a merge method that needs no tensors.

    Args:
        name: mergekit's name of the method.
        parameters: what is given per model and group.
        base_has_parameters: the base model is weighed like the others.
        normalize: whether weights are divided by their sum when the recipe does not say;
            None where the method has no such choice.
        n_models: how many models it merges, base included; None for any number.
        differentiable: the merged weights are differentiable in `weight` almost everywhere.
        stochastic: the result depends on the recipe's seed.
        reference: the paper.
    """

    name: str
    parameters: tuple[MethodParameter, ...]
    reference: str
    base_has_parameters: bool = False
    normalize: bool | None = None
    n_models: int | None = None
    differentiable: bool = True
    stochastic: bool = False

    def parameter(self, name: str) -> MethodParameter:
        """The parameter of that name.

        Raises:
            KeyError: the method has no such parameter.
        """
        return {parameter.name: parameter for parameter in self.parameters}[name]


# Above 1 a task vector is extrapolated, which pays where skills fight; negative weights unlearn.
_TASK_WEIGHT = MethodParameter("weight", minimum=-10.0, maximum=10.0, low=0.0, high=1.5)
_AVERAGE_WEIGHT = MethodParameter("weight", minimum=0.0, maximum=10.0, low=0.0, high=1.0)
# A density of 0 would drop the expert whole (and DARE divides by it): a weight of 0 says that.
_DENSITY = MethodParameter("density", minimum=1e-3, maximum=1.0, low=0.1, high=1.0)
_INTERPOLATION = MethodParameter("t", minimum=0.0, maximum=1.0, low=0.0, high=1.0)

_SIGNATURES = (
    MethodSignature(
        "linear",
        (_AVERAGE_WEIGHT,),
        "Wortsman et al. 2022, Model soups, arXiv:2203.05482",
        base_has_parameters=True,
        normalize=True,
    ),
    MethodSignature(
        "slerp",
        (_INTERPOLATION,),
        "Shoemake 1985, Animating rotation with quaternion curves, doi:10.1145/325165.325242",
        n_models=2,
    ),
    MethodSignature(
        "task_arithmetic",
        (_TASK_WEIGHT,),
        "Ilharco et al. 2023, Editing models with task arithmetic, arXiv:2212.04089",
        normalize=False,
    ),
    MethodSignature(
        "ties",
        (_TASK_WEIGHT, _DENSITY),
        "Yadav et al. 2023, TIES-Merging, arXiv:2306.01708",
        normalize=True,
    ),
    MethodSignature(
        "dare_linear",
        (_TASK_WEIGHT, _DENSITY),
        "Yu et al. 2024, Language models are super Mario, arXiv:2311.03099",
        normalize=False,
        stochastic=True,
    ),
    MethodSignature(
        "dare_ties",
        (_TASK_WEIGHT, _DENSITY),
        "Yu et al. 2024, arXiv:2311.03099, with the sign election of Yadav et al. 2023, arXiv:2306.01708",
        normalize=False,
        stochastic=True,
    ),
)

METHOD_SIGNATURES: Mapping[str, MethodSignature] = MappingProxyType({s.name: s for s in _SIGNATURES})
