"""On which side of its point each label is written, so that labels cover little and do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A label's side: the direction from the point to the text. The first is taken where several are as good.
SIDES = ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))
Side = tuple[int, int]

# A covered point is a blemish, overlapping labels are unreadable, a label outside the picture is cut off.
_POINT, _LABEL, _OUTSIDE = 1, 100, 1000


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in the unit of the picture, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.left <= x <= self.right and self.bottom <= y <= self.top


@dataclass(frozen=True, slots=True)
class Label:
    """A text to be placed beside its point.

    Args:
        x: of the point.
        y: of the point.
        width: of the text.
        height: of the text.
        gap: from the point to the text.
    """

    x: float
    y: float
    width: float
    height: float
    gap: float

    def box(self, side: Side) -> Box:
        """Where the text lies when it is written on that side."""
        right, up = offset(side, self.gap)
        left = self.x + right + (side[0] - 1) / 2 * self.width
        bottom = self.y + up + (side[1] - 1) / 2 * self.height
        return Box(left, bottom, left + self.width, bottom + self.height)


def offset(side: Side, gap: float) -> tuple[float, float]:
    """How far right of its point, and how far above, the text begins."""
    # On a diagonal the same distance takes less of each direction.
    reach = gap * (0.7 if all(side) else 1.0)
    return side[0] * reach, side[1] * reach


def place_labels(labels: Sequence[Label], points: Sequence[tuple[float, float]], frame: Box) -> list[Side]:
    """One side per label, each the best beside those placed before it.

    Args:
        labels: in the order in which they are placed.
        points: what should not be covered.
        frame: what the labels should not leave.
    """
    sides: list[Side] = []
    placed: list[Box] = []
    for label in labels:
        side = min(SIDES, key=lambda candidate: _cost(label.box(candidate), placed, points, frame))
        sides.append(side)
        placed.append(label.box(side))
    return sides


def _cost(box: Box, placed: Sequence[Box], points: Sequence[tuple[float, float]], frame: Box) -> int:
    inside = frame.holds(box.left, box.bottom) and frame.holds(box.right, box.top)
    return (
        _OUTSIDE * (not inside)
        + _LABEL * sum(box.overlaps(other) for other in placed)
        + _POINT * sum(box.holds(x, y) for x, y in points)
    )
