"""`paretomerge export`: a selected merge as a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.cli.cluster_option import RayAddress, prepared_on_cluster, refuse_with_server
from service.cli.consoles import messages, print_json, results
from service.cli.paths import path_option
from service.cli.server import server_of


def export(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The search's name.")],
    to: Annotated[
        Path,
        path_option("The new folder; with `--server` its name below the service's root of exports."),
    ],
    trial: Annotated[int | None, typer.Option(help="A trial's number; without it the knee of the front.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Select by constraint, such as 'alignment>=0.9'.")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Largest safetensors file.")] = "5GB",
    ray_address: RayAddress = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a merge, load it again, check its scores, and give it its name."""
    choice = ExportChoice(name, str(to), trial, tuple(where or ()), max_shard_size)
    if server := server_of(context):
        from service.cli.remote_export import export_remotely

        refuse_with_server(ray_address)
        written = export_remotely(server, choice)
    else:
        written = _export_here(choice, ray_address)
    _show(written, json)


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What the command was told.

    Args:
        name: of the search.
        to: the new folder.
        trial: its number, or None.
        where: constraints.
        max_shard_size: as in `save_pretrained`.
    """

    name: str
    to: str
    trial: int | None
    where: tuple[str, ...]
    max_shard_size: str


@dataclass(frozen=True, slots=True)
class WrittenMerge:
    """A folder that is whole, here or at a service.

    Args:
        folder: where it is.
        trial: whose merge it is.
        scores: measure → value of the reloaded model.
        largest_difference: between the trial's values and the reloaded model's.
    """

    folder: str
    trial: int
    scores: Mapping[str, float]
    largest_difference: float


def tell_start(label: str, choice: ExportChoice) -> None:
    """Say whose merge goes where."""
    messages.print(f"Exporting {label} of '{choice.name}' to {choice.to}")


def _export_here(choice: ExportChoice, ray_address: str) -> WrittenMerge:
    from service.cli.server import stored_study
    from service.exports import ExportRequest, export_merge
    from service.search import prepare_stored
    from service.search.selection import select_trial

    stored = stored_study("", choice.name)
    selected = select_trial(stored.trials, stored.identity.objectives, choice.trial, choice.where)
    prepared = prepared_on_cluster(prepare_stored(stored), ray_address)
    landmarks = tuple(t for t in stored.trials if t.landmark and t.succeeded)
    request = ExportRequest(prepared, selected, landmarks, Path(choice.to), choice.max_shard_size)
    tell_start(selected.label, choice)
    with prepared.open_pool() as pool:
        exported = export_merge(request, pool)
    scores = {measure: score.value for measure, score in exported.scores.items()}
    return WrittenMerge(choice.to, selected.number, scores, exported.largest_difference)


def _show(written: WrittenMerge, json: bool) -> None:
    if json:
        print_json({"folder": written.folder, "trial": written.trial, "scores": dict(written.scores)})
        return
    for measure, value in written.scores.items():
        results.print(f"{measure:30} {value:8.4f}")
    messages.print(
        f"{written.folder} is whole: reloaded, it differs from its trial by {written.largest_difference:.1e} at most."
    )
