"""What a finished or running study says, without a console and without HTTP."""

from __future__ import annotations

from service.results.front_report import (
    counts_json,
    front_json,
    plotted_points,
    racing_line,
    score_json,
    standing_json,
)
from service.results.standing import Standing, values_and_errors

__all__ = [
    "Standing",
    "counts_json",
    "front_json",
    "plotted_points",
    "racing_line",
    "score_json",
    "standing_json",
    "values_and_errors",
]
