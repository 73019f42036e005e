"""What a specification measures: scorers and their sets, split into what a search sees and what is held out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Any

from search_spaces.errors import SpecificationError
from service.specification import MeasureSection, Specification
from workers.candidate_worker import Measure
from workers.example_set import Example, check_fields, check_split, of_split, read_examples
from workers.scorers import SCORERS, Scorer, ScorerOptions, read_options

# Options of scorers, and of the models that they ask, on which no score depends.
_OPERATION = frozenset({"api_key_env", "cache", "max_retries", "n_asked_again", "n_parallel", "timeout_s"})
# Ends the name of a measure that is taken on held-out examples.
HOLDOUT = "@holdout"


def read_measures(specification: Specification) -> dict[str, Measure]:
    """Name → scorer and examples: objectives on `search`, and as `NAME@holdout`, with reports, on what is held out.

    Raises:
        UserError: a scorer, its options or a set is not what it must be; the message names the key.
    """
    sections = {f"objectives.{name}": section for name, section in specification.objectives.items()}
    sections |= {f"report.{name}": section for name, section in specification.report.items()}
    read = cache(read_examples)
    measures = {}
    for key, section in sections.items():
        scorer = _scorer(key, section)
        options = read_options(scorer, section.options, f"{key}.options")
        options.check()
        parts = {"": ()} if section.set is None else _by_split(key, section.set, read(section.set), scorer)
        for suffix, examples in parts.items():
            measures[key.partition(".")[2] + suffix] = Measure(section.scorer, examples, options)
    return measures


def _scorer(key: str, section: MeasureSection) -> type[Scorer]:
    if section.scorer not in SCORERS:
        raise SpecificationError(f"`{key}.scorer` must be one of {', '.join(SCORERS)}, but got '{section.scorer}'.")
    scorer = SCORERS[section.scorer]
    if scorer.brings_examples == (section.set is not None):
        said = "brings its own examples: leave `set` out" if scorer.brings_examples else "needs one"
        raise SpecificationError(f"`{key}.set`: the scorer '{section.scorer}' {said}.")
    if scorer.brings_examples and key.startswith("report"):
        raise SpecificationError(
            f"`{key}.scorer`: a report is scored on held-out examples, but '{section.scorer}' does not split its own. "
            "Use `paretomerge evaluate` on the merge in its place."
        )
    return scorer


def _by_split(
    key: str, path: str, examples: tuple[Example, ...], scorer: type[Scorer]
) -> dict[str, tuple[Example, ...]]:
    """Suffix of the measure's name → examples."""
    check_fields(examples, scorer.required_fields, path, scorer.name)
    check_split(examples, path)
    searched, held_out = of_split(examples, "search"), of_split(examples, "holdout")
    is_objective = key.startswith("objectives")
    if is_objective and not searched:
        raise SpecificationError(f"`{key}.set` must hold examples of split `search`, but all are held out.")
    if not is_objective and not held_out:
        raise SpecificationError(f"`{key}.set` must hold examples of split `holdout`, but none is held out.")
    found = {"": searched} if is_objective else {}
    return found | ({HOLDOUT: held_out} if held_out else {})


def identity_of(measure: Measure) -> list[Any]:
    """What must not change while a study is continued: scorer, examples by content, options."""
    digest = hashlib.sha256(repr(measure.examples).encode()).hexdigest()
    return [measure.scorer, digest, _plain(measure.options)]


def _plain(options: ScorerOptions | None) -> Any:
    return _without_operation(json.loads(json.dumps(asdict(options)))) if options is not None else {}


def _without_operation(value: Any) -> Any:
    """Options without those that say how a model is asked, and not what: they may change in mid-search."""
    if not isinstance(value, dict):
        return value
    return {key: _without_operation(inner) for key, inner in value.items() if key not in _OPERATION}
