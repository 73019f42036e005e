"""`paretomerge stop`: ask a service to end a search."""

from __future__ import annotations

from typing import Annotated

import typer

from search_spaces.errors import SpecificationError
from service.cli.consoles import messages, progress_text
from service.cli.server import connected, server_of
from service.client.environment import SERVER_VARIABLE


def stop(context: typer.Context, name: Annotated[str, typer.Argument(help="The search's name.")]) -> None:
    """Stop a search of a service; candidates under way are finished, and `search` goes on from there."""
    server = server_of(context)
    if not server:
        raise SpecificationError(
            f"`stop` needs the service that searches: name it with `--server` or {SERVER_VARIABLE}. "
            "A search that a command runs is stopped by Ctrl-C there."
        )
    with connected(server) as service:
        detail = service.stop(name)
    done = f"{progress_text(detail.spent_evaluations, detail.budget, detail.n_finished)} are done."
    if detail.state.is_active:
        messages.print(f"The search '{name}' stops as soon as the candidates under way are finished. {done}")
    else:
        messages.print(f"The search '{name}' is {detail.state}. {done}")
