"""Activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from search_spaces.errors import SpecificationError


@contextmanager
def checkpointed_layers(model: Any) -> Iterator[None]:
    """Keep each layer's input only; costs one more forward pass of the layers.

    transformers' own switch acts in training mode alone, in which dropout acts as well: so layers are wrapped here, and
    the model stays in evaluation mode.

    Args:
        model: of transformers.

    Raises:
        SpecificationError: the architecture has no layers of which transformers knows that they can be computed again.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise SpecificationError(
            "Activations can be checkpointed layer by layer only, but transformers marks no such layers in "
            f"{type(model).__name__}. Do without `checkpoint_activations`."
        )
    for layer in layers:
        # Evaluation mode draws no random numbers: none need be drawn again.
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
