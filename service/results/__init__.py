"""What a finished or running study says, without a console and without HTTP."""

from __future__ import annotations

from service.results.front_report import (
    clearly_dominated,
    front_json,
    hypervolume_of,
    plotted_points,
    racing_line,
    within_error,
)

__all__ = [
    "clearly_dominated",
    "front_json",
    "hypervolume_of",
    "plotted_points",
    "racing_line",
    "within_error",
]
