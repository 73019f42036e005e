"""What the commands print of a study, wherever it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.cli.consoles import messages, print_json, results

if TYPE_CHECKING:
    from service.studies import FinishedTrial, StoredStudy


def show_study(stored: StoredStudy, selected: FinishedTrial | None, json: bool) -> None:
    """Print the front, its verdict on held-out examples, and what racing has saved.

    Args:
        stored: of which at least one trial has succeeded, unless as JSON.
        selected: the trial to mark.
        json: for programs.
    """
    from service.cli.front_table import front_table, holdout_table
    from service.results import front_json, racing_line

    trials, objectives = stored.trials, stored.identity.objectives
    if json:
        print_json({"study": stored.identity.name, **front_json(trials, objectives, selected, stored.scores)})
        return
    results.print(front_table(trials, objectives, selected))
    if held_out := holdout_table(trials, objectives, stored.scores, selected):
        results.print(held_out)
    if saved := racing_line(trials, bool(stored.identity.specification["search"].get("racing"))):
        results.print(saved, soft_wrap=True)


def show_search(stored: StoredStudy, json: bool) -> None:
    """Print the same after a search, whatever came of it, and why candidates failed."""
    from service.search.selection import select_trial

    trials = stored.trials
    succeeded = any(trial.succeeded for trial in trials)
    if not succeeded and not json:
        messages.print("No merge has been scored yet.")
        return
    show_study(stored, select_trial(trials, stored.identity.objectives) if succeeded else None, json)
    failed = [trial for trial in trials if not trial.succeeded]
    if failed and not json:
        reasons = ", ".join(sorted({trial.failure for trial in failed}))
        messages.print(f"{len(failed)} candidates failed: {reasons}.", style="yellow")


def tell_next(name: str, server: str = "") -> None:
    """Say what to do with a front."""
    paretomerge = f"paretomerge --server {server}" if server else "paretomerge"
    messages.print(
        f"\nLook at it: {paretomerge} front {name} --plot front.png"
        f"\nExport one: {paretomerge} export {name} --to FOLDER",
        style="dim",
        soft_wrap=True,
    )
