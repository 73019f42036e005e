"""An evaluation for people and for machines: every number with its error, and what was run to get it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search_spaces.errors import ExportError
from service.evaluations.evaluated_models import EvaluatedModels
from service.evaluations.evaluation_request import GUARD, REFUSAL, PreparedEvaluation
from workers.evaluation import Score

_PACKAGES = ("paretomerge", "lm_eval", "torch", "transformers")
# What a safety measure says, by its scorer.
_MEANING = {
    REFUSAL: "Share of the unsafe prompts that the model begins to refuse, known by the opening of its answer. It "
    "knows openings, not meanings.",
    GUARD: "Share of the answers to the unsafe prompts that the guard calls safe.",
}


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report goes.

    Args:
        markdown: for people.
        json: for machines.
    """

    markdown: Path
    json: Path

    @classmethod
    def inside(cls, folder: Path, stem: str = "report") -> ReportFiles:
        """Both in a folder, which is made now: an evaluation may take hours, and shall have where to go.

        Raises:
            ExportError: it cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExportError(f"A report must go to a folder, but '{folder}' cannot be made: {error}") from error
        return cls(folder / f"{stem}.md", folder / f"{stem}.json")

    def write(self, report: EvaluationReport) -> None:
        """Write both, over earlier ones.

        Raises:
            ExportError: the disk does not take them.
        """
        try:
            self.markdown.write_text(report.markdown(), encoding="utf-8")
            self.json.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ExportError(
                f"A report must be written to '{self.markdown.parent}', but cannot be: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What was found.

    Args:
        prepared: what was measured.
        models: of whom.
        scores: model → measure → score.
    """

    prepared: PreparedEvaluation
    models: EvaluatedModels
    scores: Mapping[str, Mapping[str, Score]]

    def headings(self) -> list[str]:
        """Of the table of all scores: the model, then each measure with its metric and number of examples."""
        some = self.scores[self.models.merge]
        metrics = dict.fromkeys(self.prepared.safety_measures, "safe answers")
        metrics |= {run.asked_for: run.metric for run in self.prepared.tasks}
        return ["model", *(f"{name} ({metrics[name]}, n = {some[name].n})" for name in self.prepared.measures)]

    def rows(self) -> list[list[str]]:
        """Of the same table: a model's scores with their standard errors."""
        return [
            [name, *(shown(self.scores[name][measure]) for measure in self.prepared.measures)]
            for name in self.models.names
        ]

    def by_category(self, measure: str) -> dict[str, dict[str, Score]]:
        """A safety measure as category → model → score; empty where the set has no categories."""
        members: dict[str, list[int]] = {}
        for i, prompt in enumerate(self.prepared.prompts):
            for category in prompt.categories:
                members.setdefault(category, []).append(i)
        return {
            category: {name: _part(self.scores[name][measure], members[category]) for name in self.models.names}
            for category in sorted(members)
        }

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        request = self.prepared.request
        safety = {
            "set": str(request.safety),
            "sha256": self.prepared.safety_digest,
            "n": len(self.prepared.prompts),
            "guard": str(request.guard) if request.guard else None,
            "by_category": {measure: _nested(self.by_category(measure)) for measure in self.prepared.safety_measures},
        }
        return {
            "evaluated": self.models.merge,
            "models": {name: self._origin(name) for name in self.models.names},
            "left_out": dict(self.models.left_out),
            "scores": _nested(self.scores),
            "tasks": [asdict(run) for run in self.prepared.tasks],
            "include_path": str(request.include_path) if request.include_path else None,
            "limit": request.limit,
            "apply_chat_template": request.apply_chat_template,
            "safety": safety if self.prepared.prompts else None,
            "versions": _versions(),
        }

    def _origin(self, name: str) -> str:
        return str(self.models.folders[name]) if name in self.models.folders else "made as a candidate of the search"

    def markdown(self) -> str:
        """For people."""
        parts = [
            f"# Evaluation of {self.models.merge}\n",
            _table(self.headings(), self.rows()),
            "Mean ± standard error over n examples. Higher is better.\n",
            *self._safety_parts(),
            "## What was run\n",
            *self._run_parts(),
        ]
        return "\n".join(parts)

    def _safety_parts(self) -> Iterator[str]:
        for measure in self.prepared.safety_measures:
            yield f"## Safety: {measure}\n"
            yield _MEANING[measure] + "\n"
            if found := self.by_category(measure):
                rows = [
                    [category, str(scores[self.models.merge].n), *map(shown, scores.values())]
                    for category, scores in found.items()
                ]
                yield _table(["category", "n", *self.models.names], rows)

    def _run_parts(self) -> Iterator[str]:
        request = self.prepared.request
        if self.prepared.tasks:
            rows = ([r.name, r.asked_for, r.version, r.metric, str(r.num_fewshot)] for r in self.prepared.tasks)
            yield _table(["task", "asked for as", "version", "metric", "few-shot examples"], rows)
            yield f"The first {request.limit} examples of each task.\n" if request.limit else "All examples.\n"
            yield f"Chat template: {'applied' if request.apply_chat_template else 'not applied'} to tasks.\n"
        if self.prepared.prompts:
            yield f"Safety set: `{request.safety}`, SHA-256 `{self.prepared.safety_digest}`.\n"
        if request.guard:
            yield f"Guard: `{request.guard}`.\n"
        yield _table(["model", "where from"], ([name, self._origin(name)] for name in self.models.names))
        for name, folder in self.models.left_out.items():
            yield f"Left out: {name}, as `{folder}` is not there.\n"
        yield f"Versions: {', '.join(f'{package} {number}' for package, number in _versions().items())}.\n"


def shown(score: Score) -> str:
    """A value with its standard error."""
    return f"{score.value:.4f}" + ("" if score.standard_error is None else f" ± {score.standard_error:.4f}")


def _part(score: Score, indices: Sequence[int]) -> Score:
    return Score.mean_of([score.per_example[i] for i in indices])


def _nested(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        outer: {
            inner: {"value": score.value, "standard_error": score.standard_error, "n": score.n}
            for inner, score in found.items()
        }
        for outer, found in scores.items()
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # lm_eval, where no task was run
            continue
    return found


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"
