"""`paretomerge serve`: the service, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_spaces.errors import FailureError, SpecificationError
from service.cli.consoles import messages
from service.cli.paths import path_option
from service.client.environment import TOKEN_VARIABLE

if TYPE_CHECKING:
    from service.settings import ServiceSettings

# Where they are not named: what a folder for merges is likely to hold.
_MODELS, _SETS, _EXPORTS = Path("models"), Path("sets"), Path("merges")


def serve(  # noqa: PLR0913, PLR0917  each is an option
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = 8008,
    models: Annotated[
        list[Path] | None, typer.Option(help="A folder below which models lie; several times for several. [./models]")
    ] = None,
    sets: Annotated[
        list[Path] | None, typer.Option(help="A folder below which sets lie; several times for several. [./sets]")
    ] = None,
    exports: Annotated[Path, path_option("The folder below which exports go; made if need be.")] = _EXPORTS,
    slots: Annotated[int, typer.Option(help="Searches that run at once; the rest wait.", min=1, max=1000)] = 4,
    ray_address: Annotated[str, typer.Option(help="A running Ray cluster; `local` starts one here.")] = "local",
    cpus: Annotated[int | None, typer.Option(help="Cores of a cluster of its own; all if left out.", min=1)] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="The URL of an OpenAI-compatible server that specifications may name; repeatable."),
    ] = None,
    hub_models: Annotated[
        bool,
        typer.Option("--hub-models", help="Let specifications name models by hub ids, which are fetched to this disk."),
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let the network in without a token: whoever reaches the port may call.")
    ] = False,
) -> None:
    """Run searches for a team: a REST API, a live page, Optuna Dashboard, and a queue over one Ray cluster.

    PARETOMERGE_TOKEN holds the token that clients must show. Ctrl-C ends the service; searches go on from where they
    are when it is started again.
    """
    token = _token()
    _check_access(host, token, insecure)
    from service.database.connection import connect, database_url
    from service.settings import ServiceSettings

    model_roots, set_roots, exports_root = _roots(models, _MODELS), _roots(sets, _SETS), _exports_root(exports)
    with _listening(host, port) as listener:
        url = database_url()
        settings = ServiceSettings(
            database_url=url,
            exports=exports_root,
            models=model_roots,
            sets=set_roots,
            endpoints=tuple(endpoint or ()),
            hub_models=hub_models,
            token=token,
            host=host,
            port=listener.getsockname()[1],
            n_slots=slots,
            ray_address=ray_address,
            n_cpus=cpus,
        )
        engine = connect(url)
        try:
            _run(settings, engine, listener)
        finally:
            engine.dispose()


def _run(settings: ServiceSettings, engine: Any, listener: socket.socket) -> None:
    from service.api.app import create_app
    from service.api.server import run_server
    from service.supervision.process import SupervisorProcess

    # Whatever ends the service, its supervisor is told so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app = create_app(settings, engine)
    with SupervisorProcess(settings):
        _introduce(settings)
        try:
            run_server(app, listener)
        except KeyboardInterrupt:
            messages.print("The service has ended; what was asked of it waits in the database.", style="dim")


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise SpecificationError(
            f"`{TOKEN_VARIABLE}` must hold a token of plain characters without spaces, but holds others. "
            "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def _check_access(host: str, token: str, insecure: bool) -> None:
    from service.access.loopback import is_loopback

    if not (token or insecure or is_loopback(host)):
        raise SpecificationError(
            f"`--host {host}` lets the network in, which needs a token in `{TOKEN_VARIABLE}`, but none is set. Make "
            "one: python3 -c 'import secrets; print(secrets.token_urlsafe())'. Or let everybody in with `--insecure`."
        )


def _roots(given: Sequence[Path] | None, default: Path) -> tuple[Path, ...]:
    """Absolute; the default need not be there yet."""
    for path in given or ():
        if not path.expanduser().is_dir():
            raise SpecificationError(f"`--{default}` must be a folder, but '{path}' is none. Make it, or name another.")
    return tuple(path.expanduser().absolute() for path in (given or (default,)))


def _exports_root(given: Path) -> Path:
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecificationError(f"`--exports` must be a folder that can be made, but cannot: {error}.") from None
    return given.absolute()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise FailureError(
            f"The service must listen on {host}:{port}, but cannot: {error}. Name another port with `--port`."
        ) from error


def _introduce(settings: ServiceSettings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    cluster = "one of its own" if settings.ray_address == "local" else settings.ray_address
    lines = {
        "models": _shown(settings.models) + (", and the hub" if settings.hub_models else ""),
        "sets": _shown(settings.sets),
        "exports": _shown((settings.exports,)),
        "slots": f"{settings.n_slots} searches at once",
        "cluster": f"Ray, {cluster}",
        "access": _access(settings),
    }
    messages.print(f"The service: http://{host}:{settings.port}/  (Ctrl-C ends it)", soft_wrap=True)
    for name, value in lines.items():
        messages.print(f"  {name:8} {value}", soft_wrap=True, markup=False)


def _access(settings: ServiceSettings) -> str:
    from service.access.loopback import is_loopback

    if settings.token:
        return "whoever shows the token"
    return "whoever is on this machine" if is_loopback(settings.host) else "WHOEVER REACHES THE PORT"


def _shown(folders: Sequence[Path]) -> str:
    return ", ".join(f"{folder}{'' if folder.is_dir() else ' (not there yet)'}" for folder in folders)
