"""`paretomerge --server URL search`: a service searches, and this command watches."""

from __future__ import annotations

from pathlib import Path

import typer
import yaml

from search_spaces.errors import FailureError, StateError
from service.api.schemas import Points, SearchDetail
from service.cli.consoles import messages, progress_text
from service.cli.progress_view import ProgressView
from service.cli.server import connected
from service.cli.study_view import show_search, tell_next
from service.client.remote_service import RemoteService
from service.client.remote_study import load_remote_study
from service.client.search_progress import RemoteProgress
from service.registry.states import SearchState
from service.specification import read_specification
from service.studies import StoredStudy


def search_remotely(server: str, specification: Path, json: bool) -> None:
    """Queue a search, resume it, or find it running; watch it to its end, and show its front.

    Raises:
        UserError: whatever the service finds wrong with the specification.
        FailureError: the search failed.
        ServiceError: the service does not answer as it should.
    """
    text = read_specification(specification)
    with connected(server) as service:
        detail = _asked_for(service, text)
        _introduce(detail, server)
        try:
            ended, stored = _watch(service, detail)
        except KeyboardInterrupt:
            _tell_how_to_stop(detail.name, server)
            raise typer.Exit(130) from None
    if ended.state == SearchState.FAILED:
        raise FailureError(f"The search '{ended.name}' failed: {ended.message}")
    show_search(stored, json)
    if ended.state != SearchState.FINISHED:
        messages.print(
            f"\nStopped at {progress_text(ended.spent_evaluations, ended.budget, ended.n_finished)}. "
            "None is lost: the same command goes on from here."
        )
        raise typer.Exit(1)
    tell_next(ended.name, server)


def _asked_for(service: RemoteService, text: str) -> SearchDetail:
    """The search, once it is under way."""
    try:
        return service.launch(text)
    except StateError:  # there is one of that name
        name = str(yaml.safe_load(text)["name"])
    found = service.search(name)
    if found.state.can_resume:
        return service.resume(name, text)
    messages.print(f"The search '{name}' is {found.state} already; this specification changes nothing.", style="yellow")
    return found


def _introduce(detail: SearchDetail, server: str) -> None:
    messages.print(f"Study [bold]{detail.name}[/] in {server}", soft_wrap=True)
    sampler = detail.specification["search"]["sampler"]
    chosen = "the service chooses by the search's shape." if sampler == "auto" else "named in the specification."
    done = progress_text(detail.spent_evaluations, detail.budget, detail.n_finished)
    messages.print(f"Sampler {sampler}: {chosen}\n{done} are done.", soft_wrap=True)


def _watch(service: RemoteService, detail: SearchDetail) -> tuple[SearchDetail, StoredStudy]:
    """Follow a search to its end; how it ended, and all that was found."""
    progress = RemoteProgress(detail.objectives, detail.budget, detail.n_finished, detail.spent_evaluations)
    with ProgressView(detail.budget, detail.spent_evaluations) as view:
        for event in service.events(detail.name):
            if event.event == "points":
                view.update_all(progress.take(Points.model_validate_json(event.data, extra="ignore")))
            elif event.event == "search" and (ended := _ended(service, event.data, view)):
                stored = load_remote_study(service, detail.name)
                view.update_all(progress.count(stored.trials))  # its last points may come after its end
                return ended, stored
    raise AssertionError("the events of a search have no end of their own")


def _ended(service: RemoteService, data: str, view: ProgressView) -> SearchDetail | None:
    """How the search ended, if it has."""
    told = SearchDetail.model_validate_json(data, extra="ignore")
    view.say(told.message)
    if told.state.is_active:
        return None
    # What is told may be older than the search's being resumed.
    now = service.search(told.name)
    return None if now.state.is_active else now


def _tell_how_to_stop(name: str, server: str) -> None:
    messages.print(
        f"\nNo longer watching. The search goes on at {server}; the same command watches it again."
        f"\nStop it: paretomerge --server {server} stop {name}",
        soft_wrap=True,
    )
