"""Models of differing vocabularies: the tokens of their merge, and which row of each model stands for which."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.errors import CheckpointError, SpecificationError
from search_spaces.merge_recipe import BASE
from workers.checkpoints.header import CheckpointHeader, is_head, read_json

TOKENIZER_FILE = "tokenizer.json"
# A vocabulary of all models' tokens, in place of one model's.
UNION = "union"


@dataclass(frozen=True, slots=True)
class MergedVocabulary:
    """The vocabulary of a merge.

    Args:
        source: the model whose tokenizer it is, or that was added to.
        serialized: a `tokenizer.json`.
        tokens: token → row of the merge.
        rows: model → the model's row for each row of the merge; -1 where the model has no such token.
    """

    source: str
    serialized: str
    tokens: Mapping[str, int]
    rows: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """How many rows the merge has."""
        return 1 + max(self.tokens.values())

    @property
    def takes_means(self) -> bool:
        """Whether several models have a token that the base lacks."""
        base, *others = self.rows.values()
        by_token = zip(base, *others, strict=True)
        return any(own < 0 and sum(row >= 0 for row in rows) > 1 for own, *rows in by_token)


def vocabulary_names(header: CheckpointHeader) -> tuple[str, ...]:
    """The tensors that have one row per token: embeddings, and a head of its own."""
    return tuple(name for name in header.merged_names if name == header.embeddings or is_head(name))


def merge_vocabularies(headers: Mapping[str, CheckpointHeader], source: str) -> MergedVocabulary:
    """Choose the tokens of a merge, as mergekit's `tokenizer_source` does.

    Args:
        headers: model name → header, base first.
        source: `base`, `union`, or the name of a model. A union keeps the base's tokens where they are and adds the
            others behind them, first those that are part of a model's vocabulary, then those that were added to one.

    Raises:
        SpecificationError: no model is called so.
        CheckpointError: a model's tokenizer cannot be read, or has tokens without a row.
    """
    if source not in (UNION, *headers):
        raise SpecificationError(
            f"`models.tokenizer` must be {UNION} or one of {', '.join(headers)}, but got '{source}'."
        )
    taken = BASE if source == UNION else source
    tokenizer = _tokenizer(headers[taken])
    known = {name: _tokens_with_rows(header) for name, header in headers.items()}
    if source == UNION:
        _add_all(tokenizer, headers)
    tokens = dict(tokenizer.get_vocab(with_added_tokens=True))
    by_row = {row: token for token, row in tokens.items()}
    names = [by_row.get(row, "") for row in range(1 + max(tokens.values()))]
    rows = {model: tuple(known[model].get(token, -1) for token in names) for model in headers}
    return MergedVocabulary(taken, tokenizer.to_str(), tokens, rows)


def aligned_header(
    headers: Mapping[str, CheckpointHeader], model: str, vocabulary: MergedVocabulary
) -> CheckpointHeader:
    """A model as it is with the rows of the merge: in its dtype, or in float32 where dtypes differ or means are taken.

    Args:
        headers: model name → header, base first.
        model: which of them.
        vocabulary: of the merge.
    """
    header = headers[model]
    tensors = dict(header.tensors)
    for name in vocabulary_names(header):
        given = tensors[name]
        dtypes = {other.tensors[name].dtype for other in headers.values() if name in other.tensors}
        dtype = "F32" if len(dtypes) > 1 or vocabulary.takes_means else given.dtype
        tensors[name] = replace(given, dtype=dtype, shape=(vocabulary.size, *given.shape[1:]))
    config = {**header.config, "vocab_size": vocabulary.size}
    return replace(header, config=config, tensors=tensors, vocabulary=vocabulary)


def aligned_headers(headers: Mapping[str, CheckpointHeader], source: str | None) -> dict[str, CheckpointHeader]:
    """All models as they are with the rows of the merge; as they are without a source.

    Raises:
        SpecificationError, CheckpointError: see `merge_vocabularies`.
    """
    if source is None:
        return dict(headers)
    vocabulary = merge_vocabularies(headers, source)
    return {name: aligned_header(headers, name, vocabulary) for name in headers}


def _n_rows(header: CheckpointHeader) -> int:
    if header.embeddings is None:
        raise CheckpointError(f"'{header.folder}' must have token embeddings to be given other tokens, but has none.")
    return header.tensors[header.embeddings].shape[0]


def _tokenizer(header: CheckpointHeader) -> Any:
    """A tokenizer without the added tokens for which the model has no row."""
    from tokenizers import Tokenizer

    values = _serialized(header)
    n_rows = _n_rows(header)
    added = values.get("added_tokens") or []
    values["added_tokens"] = [entry for entry in added if entry["id"] < n_rows]
    tokenizer = Tokenizer.from_str(json.dumps(values))
    beyond = [token for token, row in tokenizer.get_vocab(with_added_tokens=True).items() if row >= n_rows]
    if beyond:
        raise CheckpointError(
            f"The tokenizer of '{header.folder}' must have no more tokens than the model has rows, {n_rows}, but has "
            f"{beyond[0]!r} beyond. Take another model's as `models.tokenizer`."
        )
    return tokenizer


def _serialized(header: CheckpointHeader) -> dict[str, Any]:
    path = header.tokenizer_folder / TOKENIZER_FILE
    if not path.is_file():
        raise CheckpointError(
            f"A model must have a {TOKENIZER_FILE} where `models.tokenizer` is given, but '{path.parent}' has none. "
            "Loading its tokenizer with transformers and saving it writes one."
        )
    return read_json(path)


def _tokens_with_rows(header: CheckpointHeader) -> dict[str, int]:
    """Token → row of one model, in order of the rows; padding and tokens beyond it have none."""
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_str(json.dumps(_serialized(header))).get_vocab(with_added_tokens=True)
    n_rows = _n_rows(header)
    return {token: row for token, row in sorted(vocabulary.items(), key=lambda item: item[1]) if row < n_rows}


def _add_all(tokenizer: Any, headers: Mapping[str, CheckpointHeader]) -> None:
    """What only others have, in their order: ids must not depend on the order of a hash table."""
    added = list(_added_tokens(headers))
    contents = {token.content for token in added}
    for header in headers.values():
        tokenizer.add_tokens([token for token in _tokens_with_rows(header) if token not in contents])
    # One that is there already keeps its place and what it was first said to be.
    known = tokenizer.get_vocab(with_added_tokens=True)
    new = {token.content: token for token in reversed(added) if token.content not in known}
    tokenizer.add_tokens([new[token] for token in dict.fromkeys(t.content for t in added) if token in new])


def _added_tokens(headers: Mapping[str, CheckpointHeader]) -> Iterator[Any]:
    from tokenizers import Tokenizer

    for header in headers.values():
        decoder = Tokenizer.from_str(json.dumps(_serialized(header))).get_added_tokens_decoder()
        yield from (token for row, token in sorted(decoder.items()) if row < _n_rows(header))
