"""What is kept of each trial, as a line of JSON: enough to go on with the run, and for every plot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial of a run.

    Args:
        params: its coefficients.
        values: by objective; None after a failure.
        cost: in evaluation-equivalents.
        spent: cost of the run so far, this trial's included.
        sampler_s: seconds to ask for it and to tell of it.
        evaluation_s: seconds to make and score it.
        user_attributes: the landmark's name, and failures.
        system_attributes: what its sampler has marked it with.
    """

    params: Mapping[str, float]
    values: tuple[float, ...] | None
    cost: float
    spent: float
    sampler_s: float
    evaluation_s: float
    user_attributes: Mapping[str, Any] = field(default_factory=dict)
    system_attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def landmark(self) -> str:
        """The landmark's name, or ""."""
        return str(self.user_attributes.get("landmark", ""))

    def as_trial(self, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
        """The trial, for a study that goes on."""
        return create_trial(
            state=TrialState.FAIL if self.values is None else TrialState.COMPLETE,
            values=self.values,
            params=dict(self.params),
            distributions=dict(distributions),
            user_attrs=dict(self.user_attributes),
            system_attrs=dict(self.system_attributes),
        )


def append_record(path: Path, record: TrialRecord) -> None:
    """Add a line; it is on the disk when the run goes on."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(record)) + "\n")


def read_records(path: Path) -> list[TrialRecord]:
    """All whole lines: the last one may have been cut off with the run."""
    if not path.exists():
        return []
    return [_record(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]


def rewrite_records(path: Path, records: Iterable[TrialRecord]) -> None:
    """Leave whole lines only, so that others can follow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(record)) + "\n" for record in records), encoding="utf-8")


def _record(line: str) -> TrialRecord:
    fields = json.loads(line)
    values = fields.pop("values")
    return TrialRecord(values=None if values is None else tuple(values), **fields)
