"""`paretomerge dashboard`: Optuna Dashboard on the studies."""

from __future__ import annotations

from typing import Annotated

import typer

from search_spaces.errors import FailureError
from service.cli.consoles import messages


def dashboard(
    host: Annotated[str, typer.Option(help="The address to listen on. It has no access control.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8080,
) -> None:
    """Open Optuna Dashboard on the database, until Ctrl-C."""
    import optuna
    import optuna_dashboard

    from service.database.connection import connect, database_url

    url = database_url()
    connect(url)
    messages.print(f"Optuna Dashboard: http://{host}:{port}/  (Ctrl-C ends it)")
    try:
        optuna_dashboard.run_server(optuna.storages.RDBStorage(url), host=host, port=port)
    except OSError as error:
        raise FailureError(
            f"The dashboard must listen on {host}:{port}, but cannot: {error}. Name another with `--port`."
        ) from error
