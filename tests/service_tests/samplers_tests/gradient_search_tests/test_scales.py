"""Objectives are scaled there and back without a loss."""

from __future__ import annotations

import numpy as np
import pytest

from service.samplers.gradient_search.scales import Scales

VALUES = np.array([[-2.0, 3.0], [-0.5, 1.0], [-0.01, -4.0]])
REFERENCE = np.array([-2.2, -4.7])


@pytest.mark.parametrize("bounds", [(), (0.0, None), (None, 3.0), (0.0, 10.0)])
def test_heights_are_those_of_the_values(bounds: tuple[float | None, ...]) -> None:
    scales = Scales.of(VALUES, REFERENCE, bounds)
    straight = (VALUES - REFERENCE) / (VALUES.max(axis=0) - REFERENCE)
    assert scales.height(scales.learnt(VALUES)) == pytest.approx(straight)


def test_reference_is_zero_and_best_is_one() -> None:
    learnt = Scales.of(VALUES, REFERENCE, (0.0, None)).learnt(np.array([REFERENCE, VALUES.max(axis=0)]))
    assert learnt == pytest.approx(np.array([[0.0, 0.0], [1.0, 1.0]]))


def test_slopes_follow_the_chain_rule() -> None:
    scales, step = Scales.of(VALUES, REFERENCE, (0.0, None)), 1e-6
    gradients = np.array([[[2.0], [-3.0]]])
    moved = scales.learnt(VALUES[:1] + step * gradients[:, :, 0]) - scales.learnt(
        VALUES[:1] - step * gradients[:, :, 0]
    )
    assert scales.slopes(VALUES[:1], gradients)[:, :, 0] == pytest.approx(moved / (2 * step), rel=1e-4)


def test_nothing_is_expected_beyond_a_bound() -> None:
    scales = Scales.of(VALUES, REFERENCE, (0.0, None))
    top = scales.height(np.array([[50.0, 1.0]]))[0, 0] * (VALUES[:, 0].max() - REFERENCE[0]) + REFERENCE[0]
    assert top < 0.03  # a hundredth of the range above the bound, which keeps the logarithm finite


def test_a_bound_that_was_exceeded_is_none() -> None:
    scales = Scales.of(VALUES, REFERENCE, (-1.0, None))
    assert scales.learnt(VALUES) == pytest.approx((VALUES - REFERENCE) / (VALUES.max(axis=0) - REFERENCE))
