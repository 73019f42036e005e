"""Labels beside their points."""

from __future__ import annotations

from itertools import combinations

import pytest

from service.plots.label_placement import SIDES, Box, Label, Side, place_labels

FRAME = Box(0.0, 0.0, 100.0, 100.0)


def label(x: float, y: float) -> Label:
    return Label(x, y, width=20.0, height=5.0, gap=3.0)


def test_right_of_the_point_where_nothing_is_in_the_way() -> None:
    assert place_labels([label(50.0, 50.0)], [(50.0, 50.0)], FRAME) == [(1, 0)]


def test_left_of_a_point_at_the_right_edge() -> None:
    assert place_labels([label(95.0, 50.0)], [], FRAME) == [(-1, 0)]


@pytest.mark.parametrize("side", SIDES)
def test_no_side_covers_the_point(side: Side) -> None:
    assert not label(50.0, 50.0).box(side).holds(50.0, 50.0)


def test_away_from_other_points() -> None:
    assert place_labels([label(50.0, 50.0)], [(60.0, 50.0), (40.0, 50.0)], FRAME) == [(1, 1)]


def test_labels_of_one_place_do_not_overlap() -> None:
    labels = [label(50.0, 50.0)] * 4
    sides = place_labels(labels, [], FRAME)
    boxes = [given.box(side) for given, side in zip(labels, sides, strict=True)]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_an_overlap_is_symmetric_and_edges_do_not_count() -> None:
    box, beside, across = Box(0, 0, 2, 2), Box(2, 0, 4, 2), Box(1, 1, 3, 3)
    assert not box.overlaps(beside)
    assert box.overlaps(across)
    assert across.overlaps(box)
