"""`paretomerge compare`: two merges of a search, example by example."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from search_spaces.errors import SelectionError
from service.cli.consoles import print_json, results


def compare(
    name: Annotated[str, typer.Argument(help="The search's name.")],
    first: Annotated[int, typer.Argument(help="A trial's number.")],
    second: Annotated[int, typer.Argument(help="Another trial's number.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test whether two trials differ by more than chance, and show the prompts on which they differ most."""
    from service.database.connection import connect, database_url
    from service.search.paired_comparison import compare_paired
    from service.search.selection import select_trial
    from service.studies import load_study
    from service.studies.score_table import read_trial_scores

    engine = connect(database_url())
    stored = load_study(engine, name)
    trials = [select_trial(stored.trials, stored.identity.objectives, number) for number in (first, second)]
    for trial in trials:
        _check_whole(trial)
    scores = [read_trial_scores(engine, name, trial.number) for trial in trials]
    compared = {
        measure: compare_paired(scores[0][measure].per_example, scores[1][measure].per_example)
        for measure in scores[0]
        if measure in scores[1]
    }
    if not compared:
        raise SelectionError(f"Trials {first} and {second} must share a measure with examples, but none is stored.")
    if json:
        print_json({"study": name, "trials": [first, second], "measures": {m: _plain(c) for m, c in compared.items()}})
        return
    results.print(_table([trial.label for trial in trials], scores, compared))
    prompts = _prompts(stored)
    for measure, comparison in compared.items():
        _show_largest(measure, comparison, prompts.get(measure))


def _check_whole(trial: Any) -> None:
    if trial.was_stopped:
        raise SelectionError(
            f"Two merges are compared on the same examples, but racing stopped {trial.label} after {trial.share:.0%} "
            "of them, and its values are estimates. Compare trials that were scored whole, such as those of the front."
        )


def _plain(comparison: Any) -> dict[str, Any]:
    return {
        "difference": comparison.difference,
        "standard_error": comparison.standard_error,
        "p_value": comparison.p_value,
        "largest": list(comparison.largest),
    }


def _table(labels: list[str], scores: Any, compared: Any) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("measure")
    for head in (*labels, "difference", "p"):
        table.add_column(head, justify="right")
    for measure, comparison in compared.items():
        error = "" if comparison.standard_error is None else f" ± {comparison.standard_error:.4f}"
        values = (f"{score[measure].value:.4f}" for score in scores)
        table.add_row(measure, *values, f"{comparison.difference:+.4f}{error}", f"{comparison.p_value:.4f}")
    return table


def _prompts(stored: Any) -> dict[str, list[str]]:
    """Measure → prompts, of the sets as they are now."""
    from service.search import prepare_stored

    measures = prepare_stored(stored).measures
    return {name: [example.prompt for example in measure.examples] for name, measure in measures.items()}


def _show_largest(measure: str, comparison: Any, prompts: list[str] | None) -> None:
    if prompts is None or len(prompts) != len(comparison.differences) or not comparison.largest:
        return
    results.print(f"\n[bold]{measure}[/]: the largest differences")
    for index in comparison.largest:
        results.print(f"  {comparison.differences[index]:+8.4f}  {prompts[index]}", markup=False, soft_wrap=True)
