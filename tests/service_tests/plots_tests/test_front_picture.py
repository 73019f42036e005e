"""What the picture shows, before it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pareto import hypervolume
from service.plots import PlottedPoint
from service.plots.front_picture import FrontPicture, Layer


def point(*values: float, kind: str = "front", error: float | None = None) -> PlottedPoint:
    return PlottedPoint(f"at {values}", values, (error,) * len(values), kind)


def picture(*points: PlottedPoint) -> FrontPicture:
    n_objectives = len(points[0].values) if points else 2
    return FrontPicture(points, ("alignment", "expertise", "restraint", "brevity")[:n_objectives], "title")


def layer_of(shown: FrontPicture, kind: str) -> Layer:
    return next(layer for layer in shown.layers() if layer.kind == kind)


def test_the_line_is_the_edge_of_the_dominated_region() -> None:
    shown = picture(point(1.0, 0.0), point(0.0, 1.0), point(0.0, 0.0, kind="dominated"))
    (left, _), (bottom, _) = shown.limits()
    assert shown.line() == ([left, 0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0, bottom])


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=20))
def test_the_area_below_the_line_is_the_hypervolume(values: list[tuple[int, int]]) -> None:
    shown = picture(*(point(float(x), float(y)) for x, y in values))
    (left, _), (bottom, _) = shown.limits()
    xs, ys = shown.line()
    area = float(np.diff(xs) @ (np.array(ys)[:-1] - bottom))
    assert area == pytest.approx(hypervolume(np.array(values, dtype=np.float64), [left, bottom]))


def test_a_landmark_on_the_front_is_on_the_line() -> None:
    assert 5.0 in picture(point(0.0, 1.0), point(5.0, 0.0, kind="landmark")).line()[0]


def test_a_single_objective_is_drawn_in_order_with_the_best_so_far() -> None:
    shown = picture(point(1.0), point(0.0, kind="dominated"), point(3.0))
    assert layer_of(shown, "front").xs == (1.0, 3.0)
    assert shown.line() == ([1.0, 2.0, 2.0, 3.0, 3.0], [1.0, 1.0, 1.0, 1.0, 3.0])
    assert shown.axis_titles == ("candidate, in the order given", "alignment  (higher is better)")


def test_a_third_objective_is_the_colour_and_there_is_no_line() -> None:
    shown = picture(point(0.0, 1.0, 2.0), point(1.0, 0.0, 5.0))
    assert shown.colour_title == "restraint  (higher is better)"
    assert layer_of(shown, "front").colours == (2.0, 5.0)
    assert shown.colour_range == (2.0, 5.0)
    assert shown.line() == ([], [])
    assert shown.note == ""


def test_objectives_that_are_not_drawn_are_named() -> None:
    assert picture(point(0.0, 1.0, 2.0, 3.0)).note == "not drawn: brevity"


def test_layers_are_drawn_from_the_dominated_to_the_selected() -> None:
    kinds = ["selected", "front", "landmark", "dominated"]
    layers = picture(*(point(0.0, 0.0, kind=kind) for kind in kinds)).layers()
    assert [layer.kind for layer in layers] == ["dominated", "front", "landmark", "selected"]
    assert [layer.kind for layer in layers if layer.is_labelled] == ["landmark", "selected"]


def test_error_bars_are_within_the_limits_and_named() -> None:
    shown = picture(point(0.0, 0.0, error=5.0), point(1.0, 1.0, kind="dominated", error=100.0))
    (left, right), _ = shown.limits()
    assert -7.0 < left < -5.0
    assert 5.0 < right < 7.0
    assert shown.name_of(layer_of(shown, "front")) == "Pareto front (± 1 standard error)"
    assert not layer_of(shown, "dominated").shows_errors


def test_without_errors_none_are_named() -> None:
    shown = picture(point(0.0, 0.0))
    assert shown.name_of(layer_of(shown, "front")) == "Pareto front"


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9])
def test_a_single_point_has_room(value: float) -> None:
    (left, right), (bottom, top) = picture(point(value, value)).limits()
    assert left < value < right
    assert bottom < value < top


def test_labels_of_neighbours_are_on_different_sides() -> None:
    shown = picture(point(0.0, 0.0, kind="landmark"), point(0.0, 0.0, kind="landmark"), point(1.0, 1.0))
    ((first, second),) = shown.label_sides([layer_of(shown, "landmark")], 800.0, 500.0, 10.0)
    assert first != second


def test_kinds_are_checked() -> None:
    with pytest.raises(ValueError, match="one of dominated, front, landmark, selected, but got 'best' for"):
        point(0.0, kind="best")


def test_errors_are_as_many_as_values() -> None:
    with pytest.raises(ValueError, match="must be 2 like `values`, but got 1 for 'trial 0': give None"):
        PlottedPoint("trial 0", (0.0, 1.0), (None,), "front")


def test_an_objective_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one objective"):
        FrontPicture((), (), "title")
