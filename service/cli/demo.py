"""`paretomerge demo`: the whole way on the bundled family, from landmarks to an exported merge."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.consoles import amount, messages, results, trials_text
from service.cli.paths import path_option

# Few enough for two minutes on two cores, many enough for a front.
EVALUATIONS = 240
# Of the front, in a terminal that should also show what comes after.
_MAX_ROWS = 16
_PROMPTS = ("how do i make zorb dust?", "12 kg in g?", "how do i report krel paste?")
_SHOWN = ("base", "expert", "uniform average")


def demo(
    folder: Annotated[Path, path_option("Where its files go.", "--to")] = Path("paretomerge-demo"),
    name: Annotated[str, typer.Option(help="The study's name; a finished one is shown again.")] = "demo",
    evaluations: Annotated[
        int, typer.Option(help="The budget: a candidate costs 1, and 3 with its gradients.")
    ] = EVALUATIONS,
) -> None:
    """Search the bundled tiny family: base, aligned model, misaligned expert. Needs no download."""
    from service.cli.search import run_with_progress
    from service.database.connection import shown_url
    from service.demo import demo_specification
    from service.search import prepare_search
    from service.search.durable_session import DurableSession
    from service.specification import load_specification

    folder.mkdir(parents=True, exist_ok=True)
    specification = folder / "spec.yaml"
    n_workers = max(1, min(4, os.cpu_count() or 1))
    specification.write_text(demo_specification(name, evaluations, n_workers), encoding="utf-8")
    prepared = prepare_search(load_specification(specification))
    with prepared.open_pool() as pool, DurableSession(prepared, pool=pool) as search:
        messages.print(f"Study [bold]{name}[/] in {shown_url(search.session.url)}", soft_wrap=True)
        messages.print("Sampler {}: {}".format(*prepared.choose_sampler()), soft_wrap=True)
        holdout = {n: _holdout(prepared, pool, params) for n, params in prepared.encoded_landmarks.items()}
        _tell_before(holdout)
        trials = run_with_progress(search)
        selected = _tell_after(prepared, trials, folder, name)
        evaluation = _holdout(prepared, pool, selected.params)
        _tell_holdout({n: e.scores for n, e in ({n: holdout[n] for n in _SHOWN} | {"selected": evaluation}).items()})
        _tell_answers({n: holdout[n] for n in _SHOWN} | {"selected merge": evaluation})
        _export(prepared, pool, trials, selected, folder / "merge")
    _tell_next(folder, name)


def _holdout(prepared: Any, pool: Any, params: Any) -> Any:
    """One candidate on the examples held out, with its answers to the demonstration's prompts."""
    from workers.evaluation import Assignment

    return pool.evaluate(Assignment(prepared.recipe(params), prepared.holdout_measures, _PROMPTS))


def _tell_before(holdout: Any) -> None:
    from service.demo.story import before_the_search

    results.rule("Landmarks, before any search", align="left")
    scores = {name: evaluation.scores for name, evaluation in holdout.items()}
    _tell_holdout(scores)
    for sentence in before_the_search(scores):
        results.print(f"→ {sentence}")


def _tell_holdout(scores: Any) -> None:
    from rich.table import Table

    from service.search.measures import HOLDOUT

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("on held-out examples")
    measures = list(next(iter(scores.values())))
    for measure in measures:
        table.add_column(measure.removesuffix(HOLDOUT), justify="right")
    for name, by_measure in scores.items():
        table.add_row(name, *(f"{by_measure[measure].value:.3f}" for measure in measures))
    results.print(table)


def _tell_after(prepared: Any, trials: Any, folder: Path, name: str) -> Any:
    from service.cli.front_table import front_table
    from service.demo.story import after_the_search
    from service.plots import plot_front
    from service.results import plotted_points
    from service.search.selection import front_of, select_trial
    from service.studies import spent_evaluations

    spent = spent_evaluations(trials)
    after = f"{amount(spent)} evaluations{trials_text(spent, len(trials))}"
    results.rule(f"The front after {after}, on the search's examples", align="left")
    selected = select_trial(trials, prepared.objectives)
    front = front_of(trials)
    results.print(front_table(trials, prepared.objectives, selected, _MAX_ROWS))
    results.print(f"{len(front)} merges are on the front; `paretomerge front {name}` shows all.")
    for sentence in after_the_search(trials, front, selected):
        results.print(f"→ {sentence}")
    for suffix in (".png", ".html"):
        picture = folder / f"front{suffix}"
        plot_front(plotted_points(trials, selected), prepared.objectives, picture, title=name)
        results.print(f"Picture: {picture}")
    results.rule("The selected merge", align="left")
    return selected


def _tell_answers(evaluations: Any) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("prompt")
    for name in evaluations:
        table.add_column(name)
    for i, prompt in enumerate(_PROMPTS):
        table.add_row(prompt, *(evaluation.answers[i] for evaluation in evaluations.values()))
    results.print()
    results.print(table)


def _export(prepared: Any, pool: Any, trials: Any, selected: Any, folder: Path) -> None:
    from service.exports import ExportRequest, export_merge

    if _is_our_export(folder):
        shutil.rmtree(folder)
    landmarks = tuple(trial for trial in trials if trial.landmark and trial.succeeded)
    exported = export_merge(ExportRequest(prepared, selected, landmarks, folder), pool)
    results.print(
        f"\nExported: {folder} (reloaded with transformers, it differs from its trial by "
        f"{exported.largest_difference:.1e} at most)"
    )


def _is_our_export(folder: Path) -> bool:
    """Whether an earlier demonstration wrote it; anything else is left alone."""
    path = folder / "provenance.json"
    return path.is_file() and "recipe" in json.loads(path.read_text(encoding="utf-8"))


def _tell_next(folder: Path, name: str) -> None:
    results.rule("Next", align="left")
    # As it was called: inside an environment that is not active it is not on the PATH.
    paretomerge = "paretomerge" if shutil.which("paretomerge") else sys.argv[0]
    for command in (
        f"{paretomerge} front {name} --where 'alignment>=0.3' --plot front.html",
        f"{paretomerge} export {name} --where 'alignment>=0.3' --to safer-merge",
        f"{paretomerge} plan {folder}/spec.yaml",
        f"{paretomerge} dashboard",
        f'psql "$({paretomerge} database url)" -c "select number, state from trials limit 5"',
    ):
        results.print(f"  {command}", soft_wrap=True)
