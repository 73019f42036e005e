"""What a picture of the front shows, whatever draws it: coordinates, lines, limits and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from service.pareto import non_dominated
from service.plots.label_placement import Box, Label, Side, place_labels
from service.plots.plotted_point import KINDS, PlottedPoint

# Of the range of the values: room for markers and the labels at the edge.
_MARGIN = 0.07

# Of the font size: a letter is about so wide, a line so high, and so far from its point.
_LETTER_WIDTH, _LINE_HEIGHT, LABEL_GAP = 0.6, 1.3, 0.8

Line = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class Layer:
    """The points of one kind.

    Args:
        kind: of all of them.
        points: in the order given.
        xs: their places.
        ys: their places.
        x_errors: standard errors; 0 where unknown, and where the axis is no objective.
        y_errors: standard errors; 0 where unknown.
        colours: values of the third objective; empty if there is none.
    """

    kind: str
    points: tuple[PlottedPoint, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    x_errors: tuple[float, ...]
    y_errors: tuple[float, ...]
    colours: tuple[float, ...]

    @property
    def is_labelled(self) -> bool:
        """Whether the labels of this kind are written into the picture."""
        return self.kind in {"landmark", "selected"}

    @property
    def shows_errors(self) -> bool:
        """Whether error bars of this kind are drawn, and any is known."""
        return self.kind in {"front", "selected"} and any(self.x_errors + self.y_errors)


@dataclass(frozen=True, slots=True)
class FrontPicture:
    """Points, the names of their objectives, and a title.

    Raises:
        ValueError: no objective, or a point with another number of values.
    """

    points: tuple[PlottedPoint, ...]
    objectives: tuple[str, ...]
    title: str

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ValueError("`objectives` must name at least one objective, but got none.")
        for point in self.points:
            if len(point.values) != len(self.objectives):
                raise ValueError(
                    f"`values` must be one for each of {', '.join(self.objectives)}, but got {len(point.values)} "
                    f"for {point.label!r}."
                )

    @property
    def axis_titles(self) -> tuple[str, str]:
        """Of x and y; a single objective is drawn over the candidates in the order given."""
        if len(self.objectives) == 1:
            return "candidate, in the order given", higher_is_better(self.objectives[0])
        return higher_is_better(self.objectives[0]), higher_is_better(self.objectives[1])

    @property
    def colour_title(self) -> str | None:
        """Of the colour bar; None with fewer than three objectives."""
        return higher_is_better(self.objectives[2]) if len(self.objectives) > 2 else None

    @property
    def colour_range(self) -> tuple[float, float]:
        """From the worst to the best third objective of all points."""
        colours = [point.values[2] for point in self.points] or [0.0]
        return min(colours), max(colours)

    @property
    def note(self) -> str:
        """Which objectives are not drawn; empty if all are."""
        return f"not drawn: {', '.join(self.objectives[3:])}" if len(self.objectives) > 3 else ""

    def layers(self) -> list[Layer]:
        """The kinds that occur, from the back to the front."""
        layers = (self._layer(kind) for kind in KINDS)
        return [layer for layer in layers if layer.points]

    def name_of(self, layer: Layer) -> str:
        """What the legend calls a layer."""
        if layer.kind != "front":
            return layer.kind
        name = "Pareto front" if len(self.objectives) > 1 else "best"
        return f"{name} (± 1 standard error)" if layer.shows_errors else name

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of x and y: all points and the error bars that are drawn, with a margin."""
        xs, ys = [], []
        for layer in self.layers():
            for x, y, x_error, y_error in zip(layer.xs, layer.ys, layer.x_errors, layer.y_errors, strict=True):
                drawn = layer.shows_errors
                xs += [x - x_error * drawn, x + x_error * drawn]
                ys += [y - y_error * drawn, y + y_error * drawn]
        return _with_margin(xs), _with_margin(ys)

    def line(self) -> Line:
        """The corners of the line: empty with more than two objectives, where a projected front is no line.

        With two objectives, the upper right edge of the dominated region, from the left edge to the lower edge of the
        picture. With one, the best value so far.
        """
        if not self.points or len(self.objectives) > 2:
            return [], []
        return self._staircase() if len(self.objectives) == 2 else self._best_so_far()

    def label_sides(self, layers: Sequence[Layer], width: float, height: float, font_size: float) -> list[list[Side]]:
        """For each of these layers, the side of each label.

        Args:
            layers: those that are labelled.
            width: of the area between the axes.
            height: of the area between the axes, in the same unit.
            font_size: in the same unit.
        """
        (x_from, x_to), (y_from, y_to) = self.limits()

        def place(x: float, y: float) -> tuple[float, float]:
            return (x - x_from) / (x_to - x_from) * width, (y - y_from) / (y_to - y_from) * height

        points = [place(x, y) for layer in self.layers() for x, y in zip(layer.xs, layer.ys, strict=True)]
        points += _along([place(x, y) for x, y in zip(*self.line(), strict=True)], step=font_size)
        labels = [
            Label(
                *place(x, y),
                _LETTER_WIDTH * font_size * len(point.label),
                _LINE_HEIGHT * font_size,
                LABEL_GAP * font_size,
            )
            for layer in layers
            for point, x, y in zip(layer.points, layer.xs, layer.ys, strict=True)
        ]
        sides = iter(place_labels(labels, points, Box(0.0, 0.0, width, height)))
        return [[next(sides) for _ in layer.points] for layer in layers]

    def _layer(self, kind: str) -> Layer:
        chosen = [(i, point) for i, point in enumerate(self.points) if point.kind == kind]
        single = len(self.objectives) == 1
        return Layer(
            kind,
            tuple(point for _, point in chosen),
            tuple(i + 1.0 if single else point.values[0] for i, point in chosen),
            tuple(point.values[0 if single else 1] for _, point in chosen),
            tuple(0.0 if single else point.standard_errors[0] or 0.0 for _, point in chosen),
            tuple(point.standard_errors[0 if single else 1] or 0.0 for _, point in chosen),
            tuple(point.values[2] for _, point in chosen if len(self.objectives) > 2),
        )

    def _staircase(self) -> Line:
        values = np.array([point.values for point in self.points])
        front = np.unique(values[non_dominated(values)], axis=0)
        (left, _), (bottom, _) = self.limits()
        xs = np.repeat(front[:, 0], 2).tolist()
        ys = np.repeat(front[:, 1], 2).tolist()
        return [left, *xs], [*ys, bottom]

    def _best_so_far(self) -> Line:
        best = list(accumulate((point.values[0] for point in self.points), max))
        xs = np.repeat(np.arange(1.0, len(best) + 1), 2).tolist()[1:]
        return xs, np.repeat(best, 2).tolist()[:-1]


def higher_is_better(objective: str) -> str:
    """An objective's name on its axis."""
    return f"{objective}  (higher is better)"


def _along(corners: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Points on a line through the corners, at most a step apart."""
    found: list[tuple[float, float]] = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        n_steps = 1 + int(max(abs(next_x - x), abs(next_y - y)) / step)
        found += [(x + (next_x - x) * i / n_steps, y + (next_y - y) * i / n_steps) for i in range(n_steps)]
    return found


def _with_margin(values: Sequence[float]) -> tuple[float, float]:
    lowest, highest = min(values, default=0.0), max(values, default=1.0)
    # A single value stands in the middle of a range of about its own size.
    margin = _MARGIN * (highest - lowest) or 0.5 * (abs(highest) or 1.0)
    return lowest - margin, highest + margin
