"""The routes, one module for each noun."""

from __future__ import annotations

from service.api.routes import (
    choices,
    completions,
    dashboard,
    events,
    exports,
    front,
    health,
    metrics,
    page,
    searches,
    session,
    trials,
)

ROUTERS = tuple(
    module.router
    for module in (
        searches,
        trials,
        front,
        events,
        exports,
        completions,
        choices,
        session,
        health,
        metrics,
        page,
        dashboard,
    )
)

__all__ = ["ROUTERS"]
