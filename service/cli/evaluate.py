"""`paretomerge evaluate`: a merge on benchmark tasks and a safety set, beside its base and experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces.errors import SpecificationError
from service.cli.cluster_option import RayAddress, prepared_on_cluster
from service.cli.consoles import messages, print_json, results
from service.cli.paths import path_option


def evaluate(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    what: Annotated[str, typer.Argument(metavar="DIR|NAME", help="The folder of an export, or a search's name.")],
    tasks: Annotated[str, typer.Option(help="Tasks of lm-evaluation-harness, with commas between them.")] = "",
    include_path: Annotated[Path | None, path_option("A folder of task YAMLs of your own.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many examples of each task.")] = None,
    num_fewshot: Annotated[int | None, typer.Option(min=0, help="Examples before each question.")] = None,
    apply_chat_template: Annotated[bool, typer.Option(help="Put the tasks' prompts through the template.")] = False,
    safety: Annotated[Path | None, path_option("Unsafe prompts: JSONL with prompt and category.")] = None,
    guard: Annotated[Path | None, path_option("The folder of a Llama Guard, which judges answers.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="Another model to compare with: NAME=FOLDER.")] = None,
    trial: Annotated[int | None, typer.Option(help="A trial's number; without it the knee of the front.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Select by constraint, such as 'alignment>=0.9'.")] = None,
    to: Annotated[Path | None, path_option("The folder of the report.")] = None,
    ray_address: RayAddress = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a merge beside its base and experts, and write a report."""
    from service.evaluations import EvaluationReport, EvaluationRequest, ReportFiles, prepare_evaluation, read_against

    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    request = EvaluationRequest(names, include_path, limit, num_fewshot, apply_chat_template, safety, guard)
    others = read_against(against or ())
    is_export = _is_export(what, trial, where or (), ray_address)
    chosen = None if is_export else _select(what, trial, where or (), ray_address)
    prepared = prepare_evaluation(request)
    models = _models_of_export(what, others) if chosen is None else _models_of_trial(chosen, others)
    files = ReportFiles.inside(to or Path(what if is_export else f"{what}-evaluation"), _stem(is_export, to))
    scores = _score(chosen, models, prepared.measures)
    report = EvaluationReport(prepared, models, scores)
    _show(report, json)
    files.write(report)
    messages.print(f"Report: {files.markdown} and {files.json}", soft_wrap=True)


def _is_export(what: str, trial: int | None, where: Sequence[str], ray_address: str) -> bool:
    if not Path(what).is_dir():
        if "/" in what:
            raise SpecificationError(f"An export must be a folder, but '{what}' is none.")
        return False
    if trial is not None or where or ray_address:
        raise SpecificationError(
            f"`--trial`, `--where` and `--ray-address` are of a search, but '{what}' is the folder of an export."
        )
    return True


def _stem(is_export: bool, to: Path | None) -> str:
    """Inside an export a report stands among other files."""
    return "evaluation" if is_export and to is None else "report"


def _select(name: str, trial: int | None, where: Sequence[str], ray_address: str) -> tuple[Any, Any]:
    """The search and the trial."""
    from service.database.connection import connect, database_url
    from service.search import prepare_stored
    from service.search.selection import select_trial
    from service.studies import load_study

    stored = load_study(connect(database_url()), name)
    selected = select_trial(stored.trials, stored.identity.objectives, trial, where)
    return prepared_on_cluster(prepare_stored(stored), ray_address), selected


def _models_of_export(folder: str, others: Any) -> Any:
    from service.evaluations import models_of_export

    models = models_of_export(Path(folder), others)
    for name, path in models.left_out.items():
        messages.print(f"'{name}' is left out: {path} is not there. Name it with `--against {name}=FOLDER`.")
    return models


def _models_of_trial(chosen: tuple[Any, Any], others: Any) -> Any:
    from service.evaluations import models_of_trial

    return models_of_trial(*chosen, others)


def _score(chosen: tuple[Any, Any] | None, models: Any, measures: Any) -> Any:
    from service.evaluations import score_export, score_trial

    if chosen is None:
        return score_export(models, measures, _tell)
    return score_trial(chosen[0], models, measures, _tell)


def _tell(name: str) -> None:
    messages.print(f"Evaluating {name}", soft_wrap=True)


def _show(report: Any, json: bool) -> None:
    if json:
        print_json(report.to_dict())
        return
    from rich.table import Table

    table = Table(*report.headings()[:1], box=None, header_style="bold", pad_edge=False)
    for heading in report.headings()[1:]:
        table.add_column(heading, justify="right")
    for i, row in enumerate(report.rows()):
        table.add_row(*row, style="bold green" if i == 0 else None)
    results.print(table)
