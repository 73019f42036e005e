"""What trials cost, and whether it fits."""

from __future__ import annotations

from itertools import product

import pytest

from service.studies.trial_cost import COST, cost_of, fits, gradient_cost, is_spent


def test_a_trial_costs_one_unless_it_is_marked() -> None:
    assert cost_of({}) == 1.0
    assert cost_of({COST: gradient_cost(0.5)}) == 2.0


@pytest.mark.parametrize("share", [0.1, 0.3, 1 / 3, 0.7, 1.0])
def test_rounding_takes_no_trial_away(share: float) -> None:
    """Ten that cost a tenth of the budget each fill it, in whatever order they are added."""
    cost, spent = gradient_cost(share), 0.0
    for _ in range(10):
        assert fits(spent, cost, 10 * cost)
        spent += cost
    assert not fits(spent, cost, 10 * cost)


def test_a_budget_is_spent_where_no_plain_trial_fits() -> None:
    for spent, budget in product((0.0, 0.5, 1.0, 8.9, 9.0, 9.2, 10.0), (1, 9, 10)):
        assert is_spent(spent, budget) == (spent > budget - 1)


def test_without_a_budget_all_fits() -> None:
    assert fits(1e9, 3.0, None)
