"""`paretomerge synthesize`: make the sets of a search from its models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.cluster_option import RayAddress, on_cluster
from service.cli.consoles import BarView, messages, print_json, results


def synthesize(
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file with a `synthesis` section.")],
    ray_address: RayAddress = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make safety, domain and benign sets; the same command goes on after an interruption."""
    from service.search.preparation import open_pool
    from service.specification import load_specification
    from service.synthesis import Synthesis, settings_of
    from workers.text_worker import TextWorkerSetup

    given = on_cluster(load_specification(specification), ray_address)
    settings = settings_of(given)
    workers = given.workers
    setup = TextWorkerSetup("cuda" if workers.gpus_per_worker else "cpu", max(1, int(workers.cpus_per_worker)))
    messages.print(f"Sets of [bold]{given.name}[/] go to {settings.folder}", soft_wrap=True)
    try:
        # Its time limit is for scoring one candidate; a task here is 32 whole answers.
        with open_pool(setup, workers.model_copy(update={"timeout_s": None})) as pool, StageView() as view:
            made = Synthesis(settings, pool, view.update).run()
    except KeyboardInterrupt:
        messages.print("\nStopped. No answer is lost: the same command goes on from here.")
        raise typer.Exit(130) from None
    _warn(made, settings.holdout)
    if json:
        print_json(_plain(made))
    else:
        _show(made)


class StageView(BarView):
    """The live view of a synthesis: a bar for the stage; where nobody watches, a line for each that is done."""

    def update(self, progress: Any) -> None:
        """Show where the stage stands."""
        self._bar.update(self._task, completed=progress.n_done, total=progress.n_asked, description=progress.stage)
        if not messages.is_terminal and progress.n_done == progress.n_asked:
            messages.print(f"{progress.n_done}/{progress.n_asked}  {progress.stage}", soft_wrap=True)


def _warn(made: Any, holdout: float) -> None:
    for each in made.sets:
        n_rows, n_held_out = len(each.rows), each.n_of("holdout")
        if n_rows < each.wanted:
            messages.print(f"The {each.name} set has {n_rows} rows, {each.wanted} were asked for.", style="yellow")
        # Half of what was asked for, at least.
        if 2 * n_held_out < round(holdout * n_rows):
            messages.print(
                f"Of the {each.name} set only {n_held_out} of {n_rows} rows are held out: its questions are so alike "
                "that most are within two edits of another.",
                style="yellow",
                soft_wrap=True,
            )


def _plain(made: Any) -> dict[str, Any]:
    return {
        "sets": {
            each.name: {
                "file": str(made.files[each.name]),
                "rows": len(each.rows),
                "wanted": each.wanted,
                "search": each.n_of("search"),
                "holdout": each.n_of("holdout"),
                "counts": dict(each.counts),
                "refusal_shares": dict(each.shares),
            }
            for each in made.sets
        },
        "card": str(made.card),
        "remembered": made.n_remembered,
    }


def _show(made: Any) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("set", "rows", "search", "held out", "of the questions"):
        table.add_column(head)
    for each in made.sets:
        counts = ", ".join(f"{n} {what}" for what, n in each.counts.items())
        rows = f"{len(each.rows)} of {each.wanted}"
        table.add_row(each.name, rows, str(each.n_of("search")), str(each.n_of("holdout")), counts)
    results.print(table)
    for each in made.sets:
        if each.shares:
            shares = ", ".join(f"{model} {share:.2f}" for model, share in each.shares.items())
            results.print(f"Refused of the {each.name} questions: {shares}", soft_wrap=True)
    if made.n_remembered:
        messages.print(f"{made.n_remembered} answers were there from an earlier run.", style="dim")
    messages.print(f"Wrote {', '.join(map(str, made.files.values()))}\nand {made.card}", soft_wrap=True)
