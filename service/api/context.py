"""What every route may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from service.access.confined_specification import Reach
from service.access.roots import Roots
from service.api.metrics import service_metrics
from service.api.search_moments import SearchMoments
from service.demo import FAMILY
from service.registry import CompletionsRow, ExportRow, JobRegistry, SearchRegistry
from service.settings import ServiceSettings
from service.study_views import StudyViews, StudyWatches


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
    views: StudyViews = field(init=False)
    watches: StudyWatches = field(init=False)
    metrics: CollectorRegistry = field(init=False)
    reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        roots = Roots(self.settings.models, self.settings.sets, bundled=(FAMILY,))
        object.__setattr__(self, "reach", Reach(roots, self.settings.endpoints, self.settings.hub_models))
        object.__setattr__(self, "searches", SearchRegistry(self.engine))
        object.__setattr__(self, "exports", JobRegistry(self.engine, ExportRow))
        object.__setattr__(self, "completions", JobRegistry(self.engine, CompletionsRow))
        object.__setattr__(self, "views", StudyViews(self.engine, self.searches))
        moments = SearchMoments(self.engine, self.views, self.searches, self.exports)
        object.__setattr__(self, "watches", StudyWatches(moments.look))
        object.__setattr__(self, "metrics", service_metrics(self.engine, self.searches, self.views))


def context_of(request: Request) -> ServiceContext:
    """The context of the app that answers."""
    context: ServiceContext = request.app.state.context
    return context


# As a parameter of a route: `context: Context`.
Context = Annotated[ServiceContext, Depends(context_of)]
