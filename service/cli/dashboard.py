"""`paretomerge dashboard`: Optuna Dashboard on the studies."""

from __future__ import annotations

import socket
import threading
from typing import Annotated, Any
from wsgiref.simple_server import WSGIServer, make_server

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
    _serve(optuna_dashboard.wsgi(optuna.storages.RDBStorage(url)), host, port)


def _serve(app: Any, host: str, port: int) -> None:
    """Answer in a thread until Ctrl-C: in the thread that answers, wsgiref would take it for a failed request."""
    try:
        server = make_server(host, port, app, _IPv6Server if ":" in host else WSGIServer)
    except OSError as error:
        raise FailureError(
            f"The dashboard must listen on {host}:{port}, but cannot: {error}. Name another with `--port`."
        ) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            server.shutdown()


class _IPv6Server(WSGIServer):
    address_family = socket.AF_INET6
