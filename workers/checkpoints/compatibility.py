"""Whether a base and its experts can be merged: architecture, tensor names, shapes and vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search_spaces.errors import IncompatibleModelsError
from workers.checkpoints.header import CheckpointHeader, TensorHeader, is_head, read_json


def check_compatible(base: CheckpointHeader, experts: Mapping[str, CheckpointHeader]) -> None:
    """Refuse experts that do not fit the base, tensor by tensor.

    A head is compared where the base has one of its own: that of an expert whose head is tied is its embeddings. Where
    the base's is tied, an expert's own is left out here; it must equal its embeddings, which only its tensors can tell.

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
    ours, theirs = base.weights, weights_beside(expert, base)
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


def weights_beside(header: CheckpointHeader, base: CheckpointHeader) -> dict[str, TensorHeader]:
    """A checkpoint's weights with a head where the base has one, and without where it has none."""
    if base.is_tied:
        return {name: tensor for name, tensor in header.weights.items() if not is_head(name)}
    if header.is_tied and header.embeddings and base.head:
        return header.weights | {base.head: header.tensors[header.embeddings]}
    return header.weights


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
            f"Expert '{name}' ('{expert.folder}') must have the base's vocabulary, but {_first_three(offending)}. "
            "`models.tokenizer` says which tokens a merge of both has."
        )


def _tokens(header: CheckpointHeader) -> dict[str, int]:
    """Token → id, of a `tokenizer.json`; empty where there is none or its vocabulary is no table."""
    if header.vocabulary is not None:
        return dict(header.vocabulary.tokens)
    path = header.tokenizer_folder / "tokenizer.json"
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
