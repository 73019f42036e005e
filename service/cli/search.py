"""`paretomerge search`: run a specification's search, or continue it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.consoles import messages, print_json, results


def search(
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file.")],
    json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
) -> None:
    """Search the coefficients; the same command continues a search that was interrupted."""
    from service.search import prepare_search
    from service.search.session import open_session
    from service.specification import load_specification

    prepared = prepare_search(load_specification(specification))
    with open_session(prepared) as session:
        _introduce(session)
        try:
            trials = run_with_progress(session)
        except KeyboardInterrupt:
            trials = session.study.finished_trials()
            _show(session, trials, json)
            messages.print(
                f"\nStopped at {len(trials)} of {prepared.specification.search.evaluations} evaluations. "
                "None is lost: the same command goes on from here."
            )
            raise typer.Exit(130) from None
        _show(session, trials, json)
    messages.print(
        f"\nLook at it: paretomerge front {prepared.specification.name} --plot front.png"
        f"\nExport one: paretomerge export {prepared.specification.name} --to FOLDER",
        style="dim",
    )


def run_with_progress(session: Any, pool: Any = None) -> Any:
    """Run a session under the progress view, on a pool that runs already or on its own; the finished trials."""
    from service.cli.progress_view import ProgressView

    budget = session.prepared.specification.search.evaluations
    with ProgressView(budget, session.study.n_finished) as view:
        return session.run(view.update, pool)


def _introduce(session: Any) -> None:
    prepared = session.prepared
    sampler, reason = prepared.choose_sampler()
    search_section = prepared.specification.search
    messages.print(f"Study [bold]{prepared.specification.name}[/] in {session.url}", soft_wrap=True)
    messages.print(
        f"Sampler {sampler}: {reason}\n"
        f"{session.study.n_finished} of {search_section.evaluations} evaluations are done.",
        soft_wrap=True,
    )
    for landmark in prepared.landmarks_outside:
        messages.print(f"Landmark '{landmark.name}' lies outside the bounds and is left out.", style="dim")


def _show(session: Any, trials: Any, json: bool) -> None:
    from service.cli.front_table import front_table, holdout_table
    from service.results import front_json, racing_line
    from service.search.selection import select_trial

    objectives = session.prepared.objectives
    selected = select_trial(trials, objectives) if any(trial.succeeded for trial in trials) else None
    scores = session.study.scores()
    if json:
        print_json({"study": session.prepared.specification.name, **front_json(trials, objectives, selected, scores)})
        return
    if selected is None:
        messages.print("No merge has been scored yet.")
        return
    results.print(front_table(trials, objectives, selected))
    if held_out := holdout_table(trials, objectives, scores, selected):
        results.print(held_out)
    if saved := racing_line(trials, session.prepared.specification.search.racing):
        results.print(saved, soft_wrap=True)
    failed = [trial for trial in trials if not trial.succeeded]
    if failed:
        reasons = ", ".join(sorted({trial.failure for trial in failed}))
        messages.print(f"{len(failed)} candidates failed: {reasons}.", style="yellow")
