"""Whether a base and its experts can be merged: architecture, tensor names, shapes and vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.errors import IncompatibleModelsError
from workers.checkpoints.header import CheckpointHeader, read_json


def check_compatible(base: CheckpointHeader, experts: Mapping[str, CheckpointHeader]) -> None:
    """Refuse experts that do not fit the base, tensor by tensor.

    A tied head may be stored or left out: it is compared only where both store it.

    Raises:
        IncompatibleModelsError: naming the expert and the first three offending tensors or tokens.
    """
    for name, expert in experts.items():
        _check_architecture(base, name, expert)
        _check_tensors(base, name, expert)
        _check_tokens(base, name, expert)


def _check_architecture(base: CheckpointHeader, name: str, expert: CheckpointHeader) -> None:
    if base.architecture != expert.architecture:
        raise IncompatibleModelsError(
            f"All models must have one architecture, but the base is {base.architecture} "
            f"and expert '{name}' is {expert.architecture} ('{expert.folder}')."
        )


def _check_tensors(base: CheckpointHeader, name: str, expert: CheckpointHeader) -> None:
    ours, theirs = _comparable(base, expert), _comparable(expert, base)
    offending = [f"{tensor} is missing" for tensor in ours if tensor not in theirs]
    offending += [f"{tensor} is not in the base" for tensor in theirs if tensor not in ours]
    offending += [
        f"{tensor} is {_shape(theirs[tensor].shape)} and not {_shape(ours[tensor].shape)}"
        for tensor in ours
        if tensor in theirs and theirs[tensor].shape != ours[tensor].shape
    ]
    if offending:
        raise IncompatibleModelsError(
            f"Expert '{name}' ('{expert.folder}') must have the base's tensors, but {_first_three(offending)}. "
            "Only fine-tunes of one base, with its vocabulary, can be merged."
        )


def _comparable(header: CheckpointHeader, other: CheckpointHeader) -> dict[str, Any]:
    tied = header.config.get("tie_word_embeddings") and other.config.get("tie_word_embeddings")
    return {
        name: tensor
        for name, tensor in sorted(header.tensors.items())
        if not (tied and name.startswith("lm_head.") and name not in other.tensors)
    }


def _check_tokens(base: CheckpointHeader, name: str, expert: CheckpointHeader) -> None:
    ours, theirs = _tokens(base), _tokens(expert)
    if not ours or not theirs:
        return
    offending = [
        f"token {token!r} is {theirs.get(token, 'missing')} and not {ours.get(token, 'in the base')}"
        for token in sorted(ours.keys() | theirs.keys())
        if ours.get(token) != theirs.get(token)
    ]
    if offending:
        raise IncompatibleModelsError(
            f"Expert '{name}' ('{expert.folder}') must have the base's vocabulary, but {_first_three(offending)}."
        )


def _tokens(header: CheckpointHeader) -> dict[str, int]:
    """Token → id, of a `tokenizer.json`; empty where there is none or its vocabulary is no table."""
    path = header.folder / "tokenizer.json"
    if not path.is_file():
        return {}
    tokenizer = read_json(path)
    vocabulary = tokenizer.get("model", {}).get("vocab")
    tokens: dict[str, int] = dict(vocabulary) if isinstance(vocabulary, dict) else {}
    return tokens | {entry["content"]: entry["id"] for entry in tokenizer.get("added_tokens", [])}


def _shape(shape: Iterable[int]) -> str:
    return "x".join(str(size) for size in shape)


def _first_three(offending: list[str]) -> str:
    more = f" (and {len(offending) - 3} more)" if len(offending) > 3 else ""
    return "; ".join(offending[:3]) + more
