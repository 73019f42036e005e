"""An export is called done only if the reloaded model scores as its trial did."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces.errors import ExportError
from service.exports.export import check_scores
from workers.evaluation import Score


def request_for(**values: float) -> Any:
    """What the check reads of a request."""
    trial = SimpleNamespace(values=tuple(values.values()), label="trial 3")
    return SimpleNamespace(prepared=SimpleNamespace(objectives=tuple(values)), trial=trial, folder=Path("merge"))


def scored(**values: float) -> dict[str, Score]:
    return {name: Score(value, None, 1, (value,)) for name, value in values.items()}


def test_largest_difference_is_told() -> None:
    found = check_scores(request_for(a=0.5, b=0.25), scored(a=0.5, b=0.25 + 1e-6))
    assert found == pytest.approx(1e-6)


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("wrong", [math.nan, 0.6])
def test_one_score_that_differs_is_enough(name: str, wrong: float) -> None:
    values = dict.fromkeys("abc", 0.5)
    with pytest.raises(ExportError, match=f"but its {name} is"):
        check_scores(request_for(**values), scored(**values | {name: wrong}))
