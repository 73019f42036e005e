"""Pictures of a search: the Pareto front as PNG, SVG or a page that needs no network."""

from __future__ import annotations

from service.plots.front_plot import plot_front
from service.plots.plotted_point import PlottedPoint

__all__ = ["PlottedPoint", "plot_front"]
