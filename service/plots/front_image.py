"""The front as a PNG or SVG file, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.plots.front_picture import LABEL_GAP, FrontPicture, Layer
from service.plots.label_placement import offset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#26323e"
_LABEL_SIZE = 10.5

# Area in points², marker, fill, edge, opacity, height in the stack.
_STYLES: dict[str, dict[str, Any]] = {
    "dominated": {"s": 22, "marker": "o", "color": "#8b98a5", "edgecolors": "none", "alpha": 0.45, "zorder": 3},
    "front": {"s": 44, "marker": "o", "color": "#1f6fb2", "edgecolors": "white", "linewidths": 0.8, "zorder": 6},
    "landmark": {"s": 64, "marker": "D", "color": "#d1495b", "edgecolors": "white", "linewidths": 1.0, "zorder": 7},
    "selected": {"s": 240, "marker": "*", "color": "#f2b134", "edgecolors": _INK, "linewidths": 1.0, "zorder": 8},
}


def write_image(picture: FrontPicture, path: Path) -> None:
    """Draw and save; the suffix of `path` decides the format. pyplot, which keeps figures, is not used."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(9.0, 6.2), dpi=160, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _prepare(axes, picture)
    _draw_line(axes, picture)
    for layer in picture.layers():
        _draw_layer(axes, picture, layer)
    _add_keys(figure, axes, picture)
    # The same picture gives the same bytes: element names from a fixed salt, and no date.
    with mpl.rc_context({"svg.hashsalt": "paretomerge"}):
        _draw_labels(figure, axes, picture)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else {})


def _prepare(axes: Axes, picture: FrontPicture) -> None:
    x_limits, y_limits = picture.limits()
    x_title, y_title = picture.axis_titles
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    # Names are anybody's: a dollar sign in them begins no formula.
    axes.set_xlabel(x_title, fontsize=12, color=_INK, labelpad=8, parse_math=False)
    axes.set_ylabel(y_title, fontsize=12, color=_INK, labelpad=8, parse_math=False)
    axes.set_title(picture.title, fontsize=14, fontweight="bold", color=_INK, loc="left", pad=14, parse_math=False)
    axes.tick_params(labelsize=10.5, colors=_INK, length=0)
    axes.grid(color="#e3e8ed", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b4bec8")


def _draw_line(axes: Axes, picture: FrontPicture) -> None:
    xs, ys = picture.line()
    if not xs:
        return
    axes.plot(xs, ys, color="#1f6fb2", linewidth=1.4, alpha=0.8, zorder=4)
    if len(picture.objectives) == 2:
        axes.fill_between(xs, ys, picture.limits()[1][0], color="#1f6fb2", alpha=0.05, linewidth=0, zorder=1)


def _draw_layer(axes: Axes, picture: FrontPicture, layer: Layer) -> None:
    style = dict(_STYLES[layer.kind])
    if layer.colours:
        lowest, highest = picture.colour_range
        del style["color"]
        style |= {"c": layer.colours, "cmap": "viridis", "vmin": lowest, "vmax": highest}
        if layer.is_labelled:
            # Where the colour says something else, the edge tells them from the front.
            style["edgecolors"] = _INK
    if layer.shows_errors:
        axes.errorbar(
            layer.xs,
            layer.ys,
            xerr=layer.x_errors,
            yerr=layer.y_errors,
            fmt="none",
            ecolor="#1f6fb2" if layer.kind == "front" else _INK,
            elinewidth=1.0,
            alpha=0.45,
            zorder=5,
        )
    axes.scatter(layer.xs, layer.ys, label=picture.name_of(layer), **style)


def _add_keys(figure: Figure, axes: Axes, picture: FrontPicture) -> None:
    """Colour bar, legend and note."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    if picture.colour_title is not None:
        colours = ScalarMappable(Normalize(*picture.colour_range), "viridis")
        bar = figure.colorbar(colours, ax=axes, pad=0.02, aspect=32)
        bar.set_label(picture.colour_title, fontsize=12, color=_INK, labelpad=8, parse_math=False)
        bar.ax.tick_params(labelsize=10.5, colors=_INK, length=0)
        bar.outline.set_visible(False)
    if picture.points:
        legend = figure.legend(
            loc="outside lower center", ncols=4, frameon=False, fontsize=10.5, labelcolor=_INK, handletextpad=0.3
        )
        legend.get_title().set_parse_math(False)
        if picture.note:
            legend.set_title(picture.note)
            legend.get_title().set_color(_INK)


def _draw_labels(figure: Figure, axes: Axes, picture: FrontPicture) -> None:
    from matplotlib.patheffects import withStroke

    # Only a laid out figure knows how large its axes are.
    figure.draw_without_rendering()
    area, points_per_pixel = axes.get_window_extent(), 72 / figure.dpi
    layers = [layer for layer in picture.layers() if layer.is_labelled]
    sides = picture.label_sides(
        layers, area.width * points_per_pixel, area.height * points_per_pixel, font_size=_LABEL_SIZE
    )
    for layer, layer_sides in zip(layers, sides, strict=True):
        for point, x, y, side in zip(layer.points, layer.xs, layer.ys, layer_sides, strict=True):
            axes.annotate(
                point.label,
                (x, y),
                xytext=offset(side, LABEL_GAP * _LABEL_SIZE),
                textcoords="offset points",
                ha=("right", "center", "left")[side[0] + 1],
                va=("top", "center", "bottom")[side[1] + 1],
                fontsize=_LABEL_SIZE,
                fontweight="bold" if layer.kind == "selected" else "normal",
                color=_INK,
                zorder=9,
                parse_math=False,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
