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
    yield from ((name, leaf.data) for name, leaf in _leaves(model))


def _leaves(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The same themselves, as autograd knows them."""
    yield from model.named_parameters()
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


def places_in(model: Any, places: Mapping[str, Tensor]) -> list[tuple[Tensor, tuple[str, ...]]]:
    """Each of the model's own parameters (and saved buffers) with the checkpoint tensors that lie in it.

    Args:
        model: of transformers; what its modules share (tied weights) comes once.
        places: see `checkpoint_places`.
    """
    by_storage: dict[int, list[tuple[str, int]]] = {}
    for name, place in places.items():
        by_storage.setdefault(place.untyped_storage().data_ptr(), []).append((name, int(place.storage_offset())))
    found = []
    for _, whole in _leaves(model):
        first = int(whole.storage_offset())
        inside = range(first, first + max(1, whole.numel()))
        there = by_storage.get(whole.untyped_storage().data_ptr(), [])
        found.append((whole, tuple(name for name, offset in there if offset in inside)))
    return found


def same_place(of: Tensor, whole: Tensor, place: Tensor) -> Tensor:
    """The part of a tensor that lies in it as `place` lies in `whole`; a view where the layouts are equal.

    Args:
        of: of `whole`'s shape, such as its gradient.
        whole: a model's parameter.
        place: a view of it.
    """
    if of.stride() != whole.stride():
        of = torch.empty_strided(whole.shape, whole.stride(), dtype=of.dtype, device=of.device).copy_(of)
    offset = of.storage_offset() + place.storage_offset() - whole.storage_offset()
    return of.as_strided(place.shape, place.stride(), offset)


def write_whole(place: Tensor, write: Callable[[Tensor], None]) -> None:
    """Let a function that needs a contiguous tensor write to a place that may be none."""
    if place.is_contiguous():
        write(place)
        return
    whole = torch.empty(place.shape, dtype=place.dtype, device=place.device)
    write(whole)
    place.copy_(whole)
