"""The card beside synthetic sets: how they were made, by whom, what was lost, and what they are not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.synthesis.rows import SynthesizedSet
from service.synthesis.settings import SynthesisSettings
from workers.checkpoints.fingerprint import fingerprint
from workers.checkpoints.header import read_header
from workers.inference_engines import ModelSource

CARD, RECORD = "DATA_CARD.md", "synthesis.json"

_CAUTION = """\
These rows were written by language models and were not read by a person. The safety set holds unsafe questions, and
under `rejected` answers that comply with them: use it to measure and to search, keep it closed, do not train on
`rejected`. A guard's verdict is a model's, too: a refusal here is what the guard took for one.
"""


def write_card(settings: SynthesisSettings, sets: Sequence[SynthesizedSet]) -> Path:
    """Write the card as Markdown, and the same as JSON beside it.

    Returns:
        Where the Markdown lies.
    """
    record = _record(settings, sets)
    (settings.folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = settings.folder / CARD
    card.write_text("\n".join(_lines(settings, sets, record)) + "\n", encoding="utf-8")
    return card


def _record(settings: SynthesisSettings, sets: Sequence[SynthesizedSet]) -> dict[str, Any]:
    asked = {name: getattr(settings, name) for name in ("safety", "domain", "benign")}
    return {
        "name": settings.name,
        "generator": _model(settings.generator),
        "guard": {"name": settings.guard.name, **(_model(settings.guard.source) if settings.guard.source else {})},
        "pool": {name: _model(source) for name, source in settings.pool.items()},
        "seed": settings.seed,
        "holdout": settings.holdout,
        "similarity": settings.similarity,
        "max_new_tokens": settings.max_new_tokens,
        "asked": {name: asdict(given) for name, given in asked.items() if given is not None},
        "sets": {
            each.name: {
                "rows": len(each.rows),
                "search": each.n_of("search"),
                "holdout": each.n_of("holdout"),
                "counts": dict(each.counts),
                "refusal_shares": dict(each.shares),
            }
            for each in sets
        },
    }


def _model(source: ModelSource) -> dict[str, str]:
    """Without the variable that holds a key: it says something of the machine and nothing of the data."""
    if source.endpoint:
        return {"model": source.model, "endpoint": source.endpoint}
    return {"model": source.model, "fingerprint": fingerprint(read_header(source.model))}


def _lines(settings: SynthesisSettings, sets: Sequence[SynthesizedSet], record: dict[str, Any]) -> Iterator[str]:
    yield f"# Synthetic sets of {settings.name}\n"
    yield _CAUTION
    yield "| set | rows | search | held out | what became of the questions |"
    yield "| --- | --- | --- | --- | --- |"
    for each in sets:
        counts = ", ".join(f"{n} {what}" for what, n in each.counts.items())
        sizes = f"{len(each.rows)} of {each.wanted} | {each.n_of('search')} | {each.n_of('holdout')}"
        yield f"| {each.name} | {sizes} | {counts} |"
    yield "\n## Who answered\n"
    yield "| model | is |"
    yield "| --- | --- |"
    for role, source in {"generator": settings.generator, "guard": settings.guard.source, **settings.pool}.items():
        yield f"| {role} | {source or f'`{settings.guard.name}`, no model'} |"
    for each in sets:
        yield from _set_lines(each)
    yield "\n## Settings\n"
    yield f"All that was asked, with prompts and seeds, stands in `{RECORD}`; every row names its own under `source`."
    yield (
        f"Answers are greedy, of at most {settings.max_new_tokens} tokens. Seed {settings.seed}. No question held out "
        "is within two edits of one of the search."
    )


def _set_lines(each: SynthesizedSet) -> Iterator[str]:
    if each.shares:
        yield f"\n## Refusals, {each.name}\n"
        yield "| model | share of the questions refused |"
        yield "| --- | --- |"
        for model, share in each.shares.items():
            yield f"| {model} | {share:.3f} |"
    categories = Counter(row.source.get("category") or row.source.get("topic") for row in each.rows)
    if categories:
        yield f"\n## Categories, {each.name}\n"
        yield "| category | rows |"
        yield "| --- | --- |"
        for category, n in sorted(categories.items(), key=lambda item: str(item[0])):
            yield f"| {category} | {n} |"
