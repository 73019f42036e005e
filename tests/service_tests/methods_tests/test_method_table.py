"""The table of methods: every registered method, beside what was found of it; the documents hold it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import METHOD_SIGNATURES
from service.methods import MethodParity, as_markdown, method_rows, read_record

DOCUMENT = Path(__file__).parents[3] / "docs" / "methods.md"


def test_every_method_has_a_row() -> None:
    assert [row.method for row in method_rows(read_record())] == list(METHOD_SIGNATURES)


def test_every_shared_method_was_compared() -> None:
    record = read_record()
    assert record.methods.keys() == METHOD_SIGNATURES.keys() & set(record.mergekit_methods)


def test_a_method_that_mergekit_lacks_has_no_parity() -> None:
    alone = replace(read_record(), mergekit_methods=(), methods={})
    assert {(row.mergekit, row.parity) for row in method_rows(alone)} == {("", "")}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (MethodParity(24, 24, 1.0, 1), "24 cases, 100.0000 % ≤ 1 ulp, max 1"),
        (MethodParity(24, 23, 0.99998, 3), "23 of 24 cases, 99.9980 % ≤ 1 ulp, max 3"),
    ],
)
def test_parity_says_what_was_kept(found: MethodParity, words: str) -> None:
    record = replace(read_record(), methods={"linear": found})
    parity = {row.method: row.parity for row in method_rows(record)}
    assert parity["linear"] == words
    assert parity["slerp"] == "not compared"


def test_the_documents_hold_the_table() -> None:
    assert as_markdown(method_rows(read_record())) in DOCUMENT.read_text(), (
        "paste what `paretomerge methods --markdown` prints"
    )
