"""`paretomerge front`: a study's Pareto front as a table, JSON or picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.consoles import messages
from service.cli.paths import path_option
from service.cli.server import server_of, stored_study
from service.cli.study_view import show_study


def front(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The search's name.")],
    where: Annotated[list[str] | None, typer.Option(help="Select by constraint, such as 'alignment>=0.9'.")] = None,
    plot: Annotated[Path | None, path_option("Write a picture: .png, .svg or .html.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the front of a search, running or finished."""
    from service.plots import plot_front
    from service.results import plotted_points
    from service.search.selection import select_trial

    stored = stored_study(server_of(context), name)
    objectives = stored.identity.objectives
    selected = select_trial(stored.trials, objectives, constraints=where or ())
    if plot is not None:
        plot_front(plotted_points(stored.trials, selected), objectives, plot, title=name)
        messages.print(f"Wrote {plot}")
    show_study(stored, selected, json)
