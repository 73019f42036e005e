"""The application: routes, access and errors, put together in one place."""

from __future__ import annotations

from fastapi import FastAPI
from sqlalchemy import Engine

from service.api.context import ServiceContext
from service.api.routes import ROUTERS
from service.settings import ServiceSettings


def create_app(settings: ServiceSettings, engine: Engine) -> FastAPI:
    """Build the service's application; it starts no process and drives no search.

    Args:
        settings: what it was told.
        engine: over its database, which is up to date; see `service.database.connection.connect`.
    """
    app = FastAPI(title="paretomerge", docs_url=None, redoc_url=None)
    app.state.context = ServiceContext(settings, engine)
    for router in ROUTERS:
        app.include_router(router)
    return app
