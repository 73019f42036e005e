"""`paretomerge search`: run a specification's search, or continue it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.cluster_option import RayAddress, on_cluster, refuse_with_server
from service.cli.consoles import messages, progress_text
from service.cli.server import server_of
from service.cli.study_view import show_search, tell_next


def search(
    context: typer.Context,
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file.")],
    ray_address: RayAddress = "",
    json: Annotated[bool, typer.Option("--json", help="Print the front as JSON.")] = False,
) -> None:
    """Search the coefficients; the same command continues a search that was interrupted.

    With `--server` the service searches, and paths in the file are seen from its roots of models and sets. Ctrl-C then
    ends the watching only.
    """
    if server := server_of(context):
        from service.cli.remote_search import search_remotely

        refuse_with_server(ray_address)
        search_remotely(server, specification, json)
        return
    _search_here(specification, ray_address, json)


def _search_here(specification: Path, ray_address: str, json: bool) -> None:
    from service.search import prepare_search
    from service.search.durable_session import DurableSession
    from service.specification import load_specification

    prepared = prepare_search(on_cluster(load_specification(specification), ray_address))
    with DurableSession(prepared) as search:
        _introduce(search.session)
        try:
            run_with_progress(search)
        except KeyboardInterrupt:
            _show_what_there_is(search, json)
            messages.print(
                f"\nStopped at {_how_far(search.session)}. None is lost: the same command goes on from here."
            )
            raise typer.Exit(130) from None
        _show(search.session, json)
    tell_next(prepared.specification.name)


def run_with_progress(search: Any) -> Any:
    """Run a search under the progress view; the finished trials."""
    from service.cli.progress_view import ProgressView

    session = search.session
    with ProgressView(session.prepared.specification.search.evaluations, session.study.spent) as view:
        return search.run(view.update, on_outage=view.say)


def _show_what_there_is(search: Any, json: bool) -> None:
    """Nothing, while the database is away."""
    from search_spaces.errors import DatabaseError
    from service.search.session import database_errors

    with suppress(DatabaseError), database_errors():
        if not search.is_away:
            _show(search.session, json)


def _introduce(session: Any) -> None:
    from service.database.connection import shown_url

    prepared = session.prepared
    sampler, reason = prepared.choose_sampler()
    messages.print(f"Study [bold]{prepared.specification.name}[/] in {shown_url(session.url)}", soft_wrap=True)
    messages.print(
        f"Sampler {sampler}: {reason}\n{_how_far(session)} are done.",
        soft_wrap=True,
    )
    for note in prepared.notes:
        messages.print(note, style="yellow", soft_wrap=True)
    for landmark in prepared.landmarks_outside:
        messages.print(f"Landmark '{landmark.name}' lies outside the bounds and is left out.", style="dim")


def _how_far(session: Any) -> str:
    study, budget = session.study, session.prepared.specification.search.evaluations
    return progress_text(study.spent, budget, study.n_finished)


def _show(session: Any, json: bool) -> None:
    """Print what was found so far."""
    from service.studies import StoredStudy

    trials = tuple(session.study.finished_trials())
    show_search(StoredStudy(session.study.identity, trials, session.study.scores()), json)
