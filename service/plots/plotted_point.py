"""What is drawn of one candidate."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("dominated", "front", "landmark", "selected")


@dataclass(frozen=True, slots=True)
class PlottedPoint:
    """One candidate in the picture.

    Args:
        label: its name; written beside landmarks and the selected point, and shown on hovering over any other.
        values: one per objective.
        standard_errors: one per objective, None where unknown.
        kind: `front`, `dominated`, `landmark` or `selected`.
    """

    label: str
    values: tuple[float, ...]
    standard_errors: tuple[float | None, ...]
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, but got {self.kind!r} for {self.label!r}.")
        if len(self.standard_errors) != len(self.values):
            raise ValueError(
                f"`standard_errors` must be {len(self.values)} like `values`, but got {len(self.standard_errors)} "
                f"for {self.label!r}: give None where one is unknown."
            )
