"""What was found when every shared method was last merged beside the real mergekit; written by `make parity`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RECORD_FILE = Path(__file__).parent / "mergekit_parity.json"


@dataclass(frozen=True, slots=True)
class MethodParity:
    """One method.

    Args:
        n_cases: that were merged by both tools; random masks count once for each number that is compared.
        n_kept: of them, how many agree.
        share_within_1_ulp: of all elements that were compared.
        max_ulps: the largest distance among them.
    """

    n_cases: int
    n_kept: int
    share_within_1_ulp: float
    max_ulps: int

    @property
    def kept(self) -> bool:
        """Whether every case agrees."""
        return self.n_kept == self.n_cases


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """All methods.

    Args:
        date: when a number last changed.
        mergekit: its version.
        torch: the version under it.
        mergekit_methods: all that mergekit has.
        methods: name → what was found, for those that both have.
    """

    date: str
    mergekit: str
    torch: str
    mergekit_methods: tuple[str, ...]
    methods: Mapping[str, MethodParity]


def read_record(path: Path = RECORD_FILE) -> ParityRecord:
    """The record that is part of the package."""
    told = json.loads(path.read_text())
    methods = {name: MethodParity(**found) for name, found in told["methods"].items()}
    return ParityRecord(**{**told, "mergekit_methods": tuple(told["mergekit_methods"]), "methods": methods})
