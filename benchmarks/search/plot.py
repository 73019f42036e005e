"""Regret against cost, with bands from quartile to quartile of the seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.search.regret import Comparison
from benchmarks.search.report import Comparisons
from service.samplers import SAMPLERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_N_COLUMNS = 3
# On a logarithmic axis a run that has found all of the union needs a place.
_LEAST_SHARE = 1e-4


def write_plot(comparisons: Comparisons, path: Path) -> None:
    """One panel per family and granularity; the suffix of `path` decides the format."""
    n_columns = min(_N_COLUMNS, len(comparisons))
    n_rows = -(-len(comparisons) // n_columns)
    figure = Figure(figsize=(5.2 * n_columns, 4.2 * n_rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (key, comparison) in zip(panels, comparisons.items(), strict=False):
        _draw(axes, comparison)
        axes.set_title(f"{key[0]}, per {key[1]}", loc="left")
    for axes in panels[len(comparisons) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8, frameon=False)
    figure.savefig(path)


def _draw(axes: Axes, comparison: Comparison) -> None:
    costs = np.arange(1, int(comparison.budget) + 1)
    least = _LEAST_SHARE * comparison.union
    for sampler in comparison.runs:
        regrets = np.maximum(comparison.regrets(sampler, costs.tolist()), least)
        low, middle, high = np.percentile(regrets, [25, 50, 75], axis=0)
        # The same in every panel, whichever samplers it has.
        color = mpl.colormaps["tab20"](list(SAMPLERS).index(sampler) % 20)
        axes.plot(costs, middle, label=sampler, color=color, linewidth=1.6)
        axes.fill_between(costs, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("cost (evaluation-equivalents)")
    axes.set_ylabel("regret (hypervolume)")
    axes.grid(color="#e3e8ed", which="both", linewidth=0.6)
