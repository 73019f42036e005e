"""Four models of one tensor, and numbers for any merge method."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors

MakeSources = Callable[..., SourceTensors]
MakeParameters = Callable[..., GroupParameters]
Merge = Callable[..., torch.Tensor]


@pytest.fixture(scope="session")
def make_sources() -> MakeSources:
    """A base and its experts, whose task vectors are a tenth of it; the same for every call."""

    def make(
        dtype: torch.dtype = torch.float32,
        shape: tuple[int, ...] = (61, 47),
        n_experts: int = 3,
        name: str = "a.weight",
    ) -> SourceTensors:
        generator = torch.Generator().manual_seed(0)
        base = torch.randn(shape, generator=generator)
        experts = [base + 0.1 * torch.randn(shape, generator=generator) for _ in range(n_experts)]
        return SourceTensors(name, base.to(dtype), tuple(expert.to(dtype) for expert in experts))

    return make


@pytest.fixture(scope="session")
def make_parameters() -> MakeParameters:
    """Numbers by method: a weight (or `t`, or scale) per expert, densities, the base's weight if any.

    Keywords are what is given once for all models, and `epsilon` and `gamma` of every expert; defaults otherwise.
    """

    def make(
        method: str,
        weights: tuple[float, ...],
        *,
        base: float = 0.0,
        density: float | tuple[float, ...] = 1.0,
        normalize: bool = False,
        seed: int = 0,
        task_vectors: bool = True,
        **others: float,
    ) -> GroupParameters:
        signature = METHOD_SIGNATURES[method]
        densities = density if isinstance(density, tuple) else (density,) * len(weights)
        given = [
            {"weight": w, "t": w, "scale": w, "density": d, **others} for w, d in zip(weights, densities, strict=True)
        ]
        experts = tuple({p.name: values.get(p.name, p.default) for p in signature.parameters} for values in given)
        shared = {p.name: others.get(p.name, p.default) for p in signature.shared_parameters}
        own = {"weight": base} if signature.base_has_parameters else {}
        return GroupParameters(own, experts, normalize, seed, shared, task_vectors)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def merge(make_parameters: MakeParameters) -> Merge:
    """The merged tensor in the dtype of the sources."""

    def merged(method: str, sources: SourceTensors, weights: tuple[float, ...], **numbers: object) -> torch.Tensor:
        out = torch.empty(sources.base.shape, dtype=sources.base.dtype)
        MERGE_METHODS[method].merge(sources, make_parameters(method, weights, **numbers), out)
        return out

    return merged
