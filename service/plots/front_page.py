"""The front as a page of HTML that is one file and needs no network, by plotly."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from service.plots.front_picture import FrontPicture, Layer
from service.plots.plotted_point import PlottedPoint

_INK = "#26323e"
_LABEL_SIZE = 13

# The area between the axes in a browser window of common size, to place the labels; a page adapts to its window.
_NOMINAL_WIDTH, _NOMINAL_HEIGHT = 1000, 600

_STYLES: dict[str, dict[str, Any]] = {
    "dominated": {"size": 7, "symbol": "circle", "color": "#8b98a5", "opacity": 0.45},
    "front": {"size": 10, "symbol": "circle", "color": "#1f6fb2", "line": {"color": "white", "width": 1}},
    "landmark": {"size": 11, "symbol": "diamond", "color": "#d1495b", "line": {"color": "white", "width": 1}},
    "selected": {"size": 20, "symbol": "star", "color": "#f2b134", "line": {"color": _INK, "width": 1}},
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>html, body {{ height: 100%; margin: 0; }}</style>
</head>
<body>
{figure}
</body>
</html>
"""


def write_page(picture: FrontPicture, path: Path) -> None:
    """Draw and save; the page carries plotly.js, 4.9 MB of it."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(picture))
    xs, ys = picture.line()
    if xs:
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                mode="lines",
                line={"color": "rgba(31, 111, 178, 0.8)", "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    layers = picture.layers()
    labelled = [layer for layer in layers if layer.is_labelled]
    placed = picture.label_sides(labelled, _NOMINAL_WIDTH, _NOMINAL_HEIGHT, _LABEL_SIZE)
    sides = {layer.kind: layer_sides for layer, layer_sides in zip(labelled, placed, strict=True)}
    for layer in layers:
        positions = [_text_position(*side) for side in sides.get(layer.kind, [])]
        figure.add_trace(go.Scatter(**_trace(picture, layer, positions)))
    # A fixed name for the element: the same picture gives the same bytes.
    html = figure.to_html(
        full_html=False, include_plotlyjs=True, div_id="front", config={"displaylogo": False, "responsive": True}
    )
    path.write_text(_PAGE.format(title=escape(picture.title), figure=html), encoding="utf-8")


def _layout(picture: FrontPicture) -> dict[str, Any]:
    (x_title, y_title), (x_limits, y_limits) = picture.axis_titles, picture.limits()
    axis = {"gridcolor": "#e3e8ed", "zeroline": False, "linecolor": "#b4bec8", "showline": True}
    note = f"<br><sub>{escape(picture.note)}</sub>" if picture.note else ""
    layout: dict[str, Any] = {
        "title": {"text": f"<b>{escape(picture.title)}</b>{note}", "x": 0.02, "font": {"size": 20}},
        "font": {"family": "system-ui, sans-serif", "size": 14, "color": _INK},
        "xaxis": axis | {"title": {"text": escape(x_title)}, "range": x_limits},
        "yaxis": axis | {"title": {"text": escape(y_title)}, "range": y_limits},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "trace"},
        "plot_bgcolor": "white",
        "paper_bgcolor": "white",
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "margin": {"l": 80, "r": 40, "t": 100, "b": 70},
    }
    if picture.colour_title is not None:
        lowest, highest = picture.colour_range
        title = {"text": escape(picture.colour_title), "side": "right"}
        layout["coloraxis"] = {"colorscale": "Viridis", "cmin": lowest, "cmax": highest, "colorbar": {"title": title}}
    return layout


def _trace(picture: FrontPicture, layer: Layer, positions: list[str]) -> dict[str, Any]:
    marker = dict(_STYLES[layer.kind])
    if layer.colours:
        marker |= {"color": layer.colours, "coloraxis": "coloraxis"}
    trace: dict[str, Any] = {
        "x": layer.xs,
        "y": layer.ys,
        "name": picture.name_of(layer),
        "mode": "markers",
        "marker": marker,
        "hovertext": [_hover_text(point, picture.objectives) for point in layer.points],
        "hoverinfo": "text",
    }
    if positions:
        texts = [escape(point.label) for point in layer.points]
        trace |= {"mode": "markers+text", "text": texts, "textposition": positions, "textfont": {"size": _LABEL_SIZE}}
    if layer.shows_errors:
        bar = {"type": "data", "thickness": 1, "width": 0, "color": "rgba(31, 111, 178, 0.35)"}
        trace |= {"error_x": bar | {"array": layer.x_errors}, "error_y": bar | {"array": layer.y_errors}}
    return trace


def _hover_text(point: PlottedPoint, objectives: tuple[str, ...]) -> str:
    """All objectives, also those that are not drawn."""
    lines = [f"<b>{escape(point.label)}</b>"]
    for objective, value, error in zip(objectives, point.values, point.standard_errors, strict=True):
        lines.append(f"{escape(objective)} {value:.4g}" + (f" ± {error:.2g}" if error is not None else ""))
    return "<br>".join(lines)


def _text_position(right: int, up: int) -> str:
    return f"{('bottom', 'middle', 'top')[up + 1]} {('left', 'center', 'right')[right + 1]}"
