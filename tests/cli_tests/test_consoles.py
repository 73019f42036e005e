"""Numbers as the commands tell them."""

from __future__ import annotations

import pytest

from service.cli.consoles import progress_text


@pytest.mark.parametrize(
    ("spent", "n_trials", "told"),
    [
        (60.0, 60, "60 of 300 evaluations"),
        (60.0, 20, "60 of 300 evaluations in 20 trials"),
        (3, 1, "3 of 300 evaluations in 1 trial"),
        (0, 0, "0 of 300 evaluations"),
        (12 * 1.2, 12, "14.4 of 300 evaluations in 12 trials"),
    ],
)
def test_trials_are_told_where_they_are_fewer(spent: float, n_trials: int, told: str) -> None:
    assert progress_text(spent, 300, n_trials) == told
