"""Rows of a set, with where each comes from; and what was lost on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service.synthesis.near_duplicates import split_apart


@dataclass(frozen=True, slots=True)
class Question:
    """A question, as a generator wrote it.

    Args:
        text: of the question.
        category: it was asked for; "" in a domain.
        source: who wrote it, the hash of the prompt, temperature and seed.
    """

    text: str
    category: str
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a set.

    Args:
        prompt: the question.
        answer: what should be answered; "" where nothing is said of that.
        rejected: what must not be answered; "" where nothing is said of that.
        source: where question and answers come from; JSON values.
        split: `search` or `holdout`.
    """

    prompt: str
    answer: str
    rejected: str
    source: Mapping[str, Any]
    split: str = "search"


@dataclass(frozen=True, slots=True)
class SynthesizedSet:
    """A set, and the story of its making.

    Args:
        name: `safety`, `domain` or `benign`.
        wanted: how many rows were asked for.
        rows: that came of it.
        counts: what became of the replies: `asked`, `unparsable`, `duplicate`, … in the order in which they fall.
        shares: further numbers for the card: name → text.
    """

    name: str
    wanted: int
    rows: tuple[Row, ...]
    counts: Counter[str]
    shares: Mapping[str, float] = field(default_factory=dict)

    def split(self, holdout_share: float, seed: int) -> SynthesizedSet:
        """The same, with some rows held out; see `split_apart`."""
        splits = split_apart([row.prompt for row in self.rows], holdout_share, seed)
        rows = tuple(replace(row, split=split) for row, split in zip(self.rows, splits, strict=True))
        return replace(self, rows=rows)

    def n_of(self, split: str) -> int:
        """How many rows a split has."""
        return sum(row.split == split for row in self.rows)


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write a set as JSONL, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text("".join(_line(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)


def _line(row: Row) -> str:
    texts = {"prompt": row.prompt, "answer": row.answer, "rejected": row.rejected}
    given = {name: text for name, text in texts.items() if text}
    line = json.dumps({**given, "split": row.split, "source": dict(row.source)}, ensure_ascii=False)
    # An answer may end in half a surrogate pair, which UTF-8 does not take.
    return line.encode("utf-8", "replace").decode("utf-8")
