"""What every route may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from service.registry import CompletionsRow, ExportRow, JobRegistry, SearchRegistry
from service.settings import ServiceSettings


@dataclass(frozen=True)
class ServiceContext:
    """The service's parts; one for each app.

    Args:
        settings: what it was told.
        engine: over its database.
    """

    settings: ServiceSettings
    engine: Engine
    searches: SearchRegistry = field(init=False)
    exports: JobRegistry[ExportRow] = field(init=False)
    completions: JobRegistry[CompletionsRow] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "searches", SearchRegistry(self.engine))
        object.__setattr__(self, "exports", JobRegistry(self.engine, ExportRow))
        object.__setattr__(self, "completions", JobRegistry(self.engine, CompletionsRow))


def context_of(request: Request) -> ServiceContext:
    """The context of the app that answers."""
    context: ServiceContext = request.app.state.context
    return context


# As a parameter of a route: `context: Context`.
Context = Annotated[ServiceContext, Depends(context_of)]
