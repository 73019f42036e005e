"""Where a checkpoint's tensors lie in a model: views of its parameters, under the names that the files use."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import CheckpointError


class _Place(Tensor):
    """A view that stays one: transformers makes each part contiguous, which would copy it."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.contiguous:
            return args[0]
        found: Any = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        return found


def checkpoint_places(model: Any, names: Container[str]) -> dict[str, Tensor]:
    """Checkpoint tensor → the part of the model that it fills; tied parameters under one name.

    A model may hold what its files hold in another form: all experts of a layer in one parameter, or a head under
    another name. transformers turns one into the other when it saves; here the same turns parameters into views, so
    that writing to a view writes to the model.

    Args:
        model: of transformers.
        names: the checkpoint's tensors.

    Raises:
        CheckpointError: a parameter is not in the checkpoint, or lies there in a form that no view has.
    """
    parameters = dict(_written(model))
    places = parameters if all(name in names for name in parameters) else _as_saved(model, parameters)
    missing = [name for name in places if name not in names]
    if missing:
        raise CheckpointError(
            f"The base's checkpoint must hold every parameter of {type(model).__name__}, but lacks "
            f"{', '.join(missing[:3])}. Its architecture stores weights under other names than its model does."
        )
    return places


def _written(model: Any) -> Iterator[tuple[str, Tensor]]:
    """What a checkpoint says of a model: its parameters, and the buffers that are saved with them."""
    yield from ((name, parameter.data) for name, parameter in model.named_parameters())
    saved = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in saved and buffer.is_floating_point():
            yield name, buffer


def _as_saved(model: Any, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from transformers.core_model_loading import revert_weight_conversion

    given: dict[str, Tensor] = {name: tensor.as_subclass(_Place) for name, tensor in parameters.items()}
    # transformers' own base class alone knows how its models are saved.
    found = revert_weight_conversion(model, given) if hasattr(model, "save_pretrained") else given
    storages = {tensor.untyped_storage().data_ptr() for tensor in parameters.values()}
    places = {name: tensor.as_subclass(Tensor) for name, tensor in found.items()}
    copied = [name for name, tensor in places.items() if tensor.untyped_storage().data_ptr() not in storages]
    if copied:
        raise CheckpointError(
            f"{type(model).__name__} must hold its checkpoint's tensors in one piece each, but computes with "
            f"{', '.join(copied[:3])} in another form: it cannot be overwritten in place."
        )
    return places


def write_whole(place: Tensor, write: Callable[[Tensor], None]) -> None:
    """Let a function that needs a contiguous tensor write to a place that may be none."""
    if place.is_contiguous():
        write(place)
        return
    whole = torch.empty(place.shape, dtype=place.dtype, device=place.device)
    write(whole)
    place.copy_(whole)
