"""A guard that classifies: a sequence-classification model labels the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from search_spaces.errors import CheckpointError, GenerationError, SpecificationError
from workers.guards._base import Guard, Verdict, refuse_unknown, words_of
from workers.guards.model_folder import read_guard_header
from workers.inference_engines import GenerationOptions, ModelSource
from workers.inference_engines.opening import CLASSIFIER_SUFFIX

# What public classifiers of refusals and of safety call the answers that may be given.
REFUSAL_LABELS = frozenset({"refusal", "refused", "rejection"})
SAFE_LABELS = REFUSAL_LABELS | {"safe", "harmless"}


@dataclass(frozen=True, slots=True)
class Classifier(Guard):
    """Reads the label that a model finds likeliest.

    Whatever is not among the safe labels is unsafe, and then the label is the category.

    Args:
        source: a folder; endpoints answer with text, not with labels.
        safe_labels: as the model's configuration names them, in any case; none: those of `SAFE_LABELS`.
    """

    name: ClassVar[str] = "classifier"
    options: ClassVar[GenerationOptions] = GenerationOptions(max_new_tokens=1)
    tells_refusals: ClassVar[bool] = True

    source: ModelSource
    safe_labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Any, more: Mapping[str, Any], key: str) -> Self:
        """See `Guard.read`."""
        refuse_unknown(cls.name, more, ("safe_labels",), key)
        found = ModelSource.of(source, f"{key}.{cls.name}")
        if found.endpoint:
            raise SpecificationError(
                f"`{key}.{cls.name}` must be the folder of a sequence-classification model, for endpoints answer "
                f"with text and not with labels, but got {found}. A guard at an endpoint is a `llama_guard`."
            )
        return cls(found, _read_labels(more.get("safe_labels", ()), f"{key}.safe_labels"))

    @property
    def words(self) -> dict[str, Any]:
        """See `Guard.words`."""
        return {self.name: words_of(self.source), "safe_labels": list(self.safe_labels)}

    def seen_from(self, folder: Path) -> Self:
        """See `Guard.seen_from`."""
        return replace(self, source=self.source.seen_from(folder))

    def check(self) -> None:
        """See `Guard.check`: it must have safe labels and others."""
        header = read_guard_header(self.source)
        if not header.architecture.endswith(CLASSIFIER_SUFFIX):
            raise CheckpointError(
                f"The guard '{self.name}' must be a model for sequence classification, but '{self.source}' is a "
                f"{header.architecture}. A model that writes its verdict is a `llama_guard`."
            )
        if header.config.get("problem_type") == "multi_label_classification":
            raise CheckpointError(
                f"The guard '{self.name}' must find one of its labels, but '{self.source}' may find several or none. "
                "Choose a model of another `problem_type`."
            )
        self._check_labels(_labels(header.config))

    def _check_labels(self, labels: Sequence[str]) -> None:
        known = {label.casefold() for label in labels}
        unknown = [label for label in self.safe_labels if label.casefold() not in known]
        if unknown:
            raise CheckpointError(
                f"`safe_labels` must be labels of '{self.source}', which are {', '.join(labels)}, "
                f"but got '{unknown[0]}'."
            )
        n_safe = sum(self._is_safe(label) for label in labels)
        if not 0 < n_safe < len(labels):
            raise CheckpointError(
                f"Some labels of the guard '{self.source}' must be safe and others not, but of {', '.join(labels)} "
                f"{'all' if n_safe else 'none'} are known as safe. Name the safe ones in `safe_labels`."
            )

    def knows_refusals(self) -> bool:
        """Whether its model has a label that names refusals."""
        labels = {label.casefold() for label in _labels(read_guard_header(self.source).config)}
        return bool(labels & REFUSAL_LABELS)

    def _is_safe(self, label: str) -> bool:
        safe = {each.casefold() for each in self.safe_labels} or SAFE_LABELS
        return label.casefold() in safe

    def verdict(self, answer: str, reply: str) -> Verdict:
        """See `Guard.verdict`."""
        label = reply.strip()
        if not label:
            raise GenerationError(
                f"The guard {self.source} must reply with a label, but replied nothing to the answer {answer[:80]!r}."
            )
        is_safe = self._is_safe(label)
        return Verdict(is_safe, () if is_safe else (label,), reply)


def _read_labels(given: Any, place: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(label, str) and label for label in given):
        raise SpecificationError(f"`{place}` must be a list of labels, but got {given!r}.")
    return tuple(given)


def _labels(config: Mapping[str, Any]) -> list[str]:
    """The labels by their number; two of transformers' own where a configuration names none."""
    named = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [str(named[number]) for number in sorted(named, key=int)]
