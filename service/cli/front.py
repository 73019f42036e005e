"""`paretomerge front`: a study's Pareto front as a table, JSON or picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.consoles import messages, print_json, results


def front(
    name: Annotated[str, typer.Argument(help="The search's name.")],
    where: Annotated[list[str] | None, typer.Option(help="Select by constraint, such as 'alignment>=0.9'.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture: .png, .svg or .html.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the front of a search, running or finished."""
    from service.cli.front_table import front_table, holdout_table
    from service.database.connection import connect, database_url
    from service.plots import plot_front
    from service.results import front_json, plotted_points, racing_line
    from service.search.selection import select_trial
    from service.studies import load_study

    stored = load_study(connect(database_url()), name)
    objectives = stored.identity.objectives
    selected = select_trial(stored.trials, objectives, constraints=where or ())
    if plot is not None:
        plot_front(plotted_points(stored.trials, selected), objectives, plot, title=name)
        messages.print(f"Wrote {plot}")
    if json:
        print_json({"study": name, **front_json(stored.trials, objectives, selected, stored.scores)})
        return
    results.print(front_table(stored.trials, objectives, selected))
    if held_out := holdout_table(stored.trials, objectives, stored.scores, selected):
        results.print(held_out)
    if saved := racing_line(stored.trials, bool(stored.identity.specification["search"].get("racing"))):
        results.print(saved, soft_wrap=True)
