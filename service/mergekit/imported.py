"""What an import gives: a specification as YAML, and all that a person must know of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import SpecificationError


class _Dumper(yaml.SafeDumper):
    """Bounds and other short lists on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value where it stands."""
        return True


def _short_list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    is_flat = not any(isinstance(value, dict | list) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_flat)


_Dumper.add_representer(list, _short_list)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
# What a specification without objectives lacks; commented out, for nobody knows the sets.
_EXAMPLE = """
# objectives:                        # what is maximised, each over a set of your own: JSONL, one example a line
#   alignment: {set: safety.jsonl, scorer: refusal_margin}      # with prompt, answer and rejected
#   expertise: {set: domain.jsonl, scorer: answer_likelihood}   # with prompt and answer
"""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the person adds to the file.

    Args:
        granularity: of the search; "" takes what the file needs.
        safety: a set for the objective `alignment`.
        domain: a set for the objective `expertise`.
        include_path: a folder of task YAMLs of lm-evaluation-harness.
    """

    granularity: str = ""
    safety: Path | None = None
    domain: Path | None = None
    include_path: Path | None = None

    def __post_init__(self) -> None:
        for name, path in (("--safety", self.safety), ("--domain", self.domain)):
            if path is not None and not path.is_file():
                raise SpecificationError(f"`{name}` must be a JSONL file, but '{path}' is not there.")

    @property
    def objectives(self) -> dict[str, dict[str, Any]]:
        """The usual two, as far as there are sets for them."""
        found = {}
        if self.safety is not None:
            found["alignment"] = {"set": _absolute(self.safety), "scorer": "refusal_margin"}
        if self.domain is not None:
            found["expertise"] = {"set": _absolute(self.domain), "scorer": "answer_likelihood"}
        return found


@dataclass(frozen=True, slots=True)
class ImportedSpecification:
    """A specification.

    Args:
        values: its keys.
        notes: what was not translated, or otherwise, and what to do about it.
    """

    values: dict[str, Any]
    notes: tuple[str, ...]

    def to_yaml(self, source: Path) -> str:
        """The specification, with the notes as comments at its top."""
        head = [f"From {source}, by `paretomerge import`.", *(f"- {note}" for note in self.notes)]
        body = yaml.dump(self.values, Dumper=_Dumper, sort_keys=False, width=120)
        # A name may hold a line break, which would end its comment.
        comments = "".join(f"# {' '.join(line.split())}\n" for line in head)
        return comments + body + ("" if self.values.get("objectives") else _EXAMPLE)


def own_name(text: str, taken: Iterable[str] = (), otherwise: str = "imported") -> str:
    """A name as specifications take them, made of a text; another one where it is taken."""
    stem = _NOT_IN_A_NAME.sub("_", text).lstrip("._-")[:90] or otherwise
    names = [stem, *(f"{stem}_{i}" for i in range(2, 2 + len(list(taken))))]
    return next(name for name in names if name not in taken)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)
