"""`paretomerge --server URL export`: a service writes the merge, below its own root of exports."""

from __future__ import annotations

import re

import typer

from search_spaces.errors import ExportError, SpecificationError
from service.api.schemas import Export, ExportRequested
from service.cli.consoles import BarView, messages
from service.cli.export import ExportChoice, WrittenMerge, tell_start
from service.cli.server import connected
from service.client.remote_service import RemoteService
from service.registry.states import JobState

# As the service takes them.
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def export_remotely(server: str, choice: ExportChoice) -> WrittenMerge:
    """Ask a service for an export and wait for it.

    Raises:
        UserError: the service refuses what was asked for.
        ExportError: it could not be written; nothing is left.
        ServiceError: the service does not answer as it should.
    """
    if not _FOLDER.fullmatch(choice.to):
        raise SpecificationError(
            "With `--server`, `--to` must be a name of letters, digits, `.`, `_` and `-`: the new folder lies below "
            f"the service's root of exports. But got '{choice.to}'."
        )
    with connected(server) as service:
        asked = service.request_export(choice.name, _request(choice))
        tell_start(service.trial(choice.name, asked.trial).landmark or f"trial {asked.trial}", choice)
        try:
            done = _watched(service, asked)
        except KeyboardInterrupt:
            messages.print(f"\nNo longer watching. The export goes on at {server}.", soft_wrap=True)
            raise typer.Exit(130) from None
    if done.state == JobState.FAILED:
        raise ExportError(done.message)
    return WrittenMerge(done.folder, done.trial, done.scores or {}, done.largest_difference or 0.0)


def _request(choice: ExportChoice) -> ExportRequested:
    # Not checked here: the service says what is wrong.
    return ExportRequested.model_construct(
        trial=choice.trial, where=choice.where, to=choice.to, max_shard_size=choice.max_shard_size
    )


def _watched(service: RemoteService, asked: Export) -> Export:
    export = asked
    with StageView() as view:
        for export in service.exports(asked.id):
            view.update(export)
    return export


class StageView(BarView):
    """What an export does now: a bar that moves; where nobody watches, a line for each stage."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""

    def update(self, export: Export) -> None:
        """Show the stage, if it is another."""
        stage = export.stage or str(export.state)
        self._bar.update(self._task, description=stage)
        if stage != self._shown and export.state.is_active and not messages.is_terminal:
            messages.print(stage, soft_wrap=True)
        self._shown = stage
