"""The remote service that `--server` names, and the commands that have no use for one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from search_spaces.errors import SpecificationError
from service.client.environment import SERVER_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from service.client.remote_service import RemoteService
    from service.studies import StoredStudy


class CommandHere(TyperCommand):
    """A command that works on this machine only, and refuses to be taken for another's."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            SpecificationError: a server was named.
        """
        if server_of(ctx):
            raise SpecificationError(
                f"`--server` is for search, front, export and stop, but `{ctx.command_path}` works on this "
                f"machine only. Leave it out; where {SERVER_VARIABLE} is set, give `--server ''`."
            )
        return super().invoke(ctx)


def server_of(context: typer.Context) -> str:
    """The URL that was given, or ""."""
    return context.obj or ""


def connected(server: str) -> RemoteService:
    """The service at a URL, with the token of the environment.

    Raises:
        SpecificationError: the URL or the token cannot be.
    """
    from service.client.remote_service import RemoteService
    from service.client.server_address import ServerAddress

    return RemoteService(ServerAddress(server, os.environ.get(TOKEN_VARIABLE, "")))


def stored_study(server: str, name: str) -> StoredStudy:
    """A study of a service, or without one of the database.

    Raises:
        SelectionError: there is none of that name.
    """
    if server:
        from service.client.remote_study import load_remote_study

        with connected(server) as service:
            return load_remote_study(service, name)
    from service.database.connection import connect, database_url
    from service.studies import load_study

    return load_study(connect(database_url()), name)
