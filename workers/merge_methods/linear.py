"""Linear averaging of whole models, the base among them (model soups)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from search_spaces.errors import CandidateError
from workers.merge_kernels import average
from workers.merge_kernels.pull_back import difference_products, normalized, products
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.parameter_gradients import ParameterGradients

# Weights that cancel out are no average.
_NOTHING = 1e-8


class Linear(MergeMethod):
    """θ = Σ w_i θ_i / Σ w_i, over base and experts; without `normalize`, not divided.

    Wortsman et al. 2022, Model soups, arXiv:2203.05482, section 2 (weighted as in mergekit's `linear`).
    """

    signature = METHOD_SIGNATURES["linear"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        weights = [parameters.base["weight"], *parameters.values("weight")]
        divisor = float(np.asarray(weights, np.float32).sum(dtype=np.float32)) if parameters.normalize else None
        if divisor is not None and abs(divisor) < _NOTHING:
            raise CandidateError(
                "zero_weights",
                f"`linear` divides by the sum of the weights, which must not be 0; got {weights} for '{tensors.name}'.",
            )
        average((tensors.base, *tensors.experts), weights, divisor, out)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        weights = [parameters.base["weight"], *parameters.values("weight")]
        if parameters.normalize:
            # What all models have in common has no part in an average's slopes.
            slopes = normalized([0.0, *difference_products(gradient, tensors.base, tensors.experts)], weights)
        else:
            slopes = products(gradient, (tensors.base, *tensors.experts))
        found = ParameterGradients.of_weights(slopes[1:])
        return replace(found, base={"weight": slopes[0]})

    def is_constant(self, tensors: SourceTensors, parameters: GroupParameters) -> bool:
        """See `MergeMethod.is_constant`: without an average, equal models are scaled."""
        return parameters.normalize and tensors.is_unchanged
