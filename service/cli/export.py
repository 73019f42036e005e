"""`paretomerge export`: a selected merge as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.consoles import messages, print_json, results


def export(
    name: Annotated[str, typer.Argument(help="The search's name.")],
    to: Annotated[Path, typer.Option(help="The new folder.")],
    trial: Annotated[int | None, typer.Option(help="A trial's number; without it the knee of the front.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Select by constraint, such as 'alignment>=0.9'.")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Largest safetensors file.")] = "5GB",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a merge, load it again, check its scores, and give it its name."""
    from service.database.connection import connect, database_url
    from service.exports import ExportRequest, export_merge
    from service.search import prepare_stored
    from service.search.selection import select_trial
    from service.studies import load_study

    stored = load_study(connect(database_url()), name)
    selected = select_trial(stored.trials, stored.identity.objectives, trial, where or ())
    prepared = prepare_stored(stored)
    landmarks = tuple(t for t in stored.trials if t.landmark and t.succeeded)
    request = ExportRequest(prepared, selected, landmarks, to, max_shard_size)
    messages.print(f"Exporting {selected.label} of '{name}' to {to}")
    with prepared.open_pool() as pool:
        exported = export_merge(request, pool)
    scores = {measure: score.value for measure, score in exported.scores.items()}
    if json:
        print_json({"folder": str(to), "trial": selected.number, "scores": scores})
        return
    for measure, value in scores.items():
        results.print(f"{measure:30} {value:8.4f}")
    messages.print(f"{to} is whole: reloaded, it differs from its trial by {exported.largest_difference:.1e} at most.")
