"""The application: routes, access and errors, put together in one place."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.middleware.gzip import GZipMiddleware

from service.access.body_limits import BodyLimits
from service.access.gate import Gate
from service.access.loopback import is_loopback
from service.access.security_headers import SecurityHeaders
from service.access.token import TokenKeeper
from service.api.context import ServiceContext
from service.api.openapi import describe
from service.api.problems import answer_with_problems
from service.api.routes import ROUTERS
from service.api.streams import StreamsEnd
from service.settings import ServiceSettings

# Of gzip: higher ones take longer than they save on the way.
_COMPRESSION = 4


def create_app(settings: ServiceSettings, engine: Engine) -> FastAPI:
    """Build the service's application; it starts no process and drives no search.

    Args:
        settings: what it was told.
        engine: over its database, which is up to date; see `service.database.connection.connect`.
    """
    app = FastAPI(
        title="paretomerge",
        version=version("paretomerge"),
        redirect_slashes=False,  # a redirect would repeat the host that a client names
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = ServiceContext(settings, engine)
    answer_with_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    # FastAPI hides those of its routers.
    app.state.routes = (*app.routes, *(route for router in ROUTERS for route in router.routes))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    # A call passes the last one first.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=_COMPRESSION)
    app.add_middleware(StreamsEnd)
    app.add_middleware(Gate, keeper=TokenKeeper(settings.token), is_local=is_loopback(settings.host))
    app.add_middleware(BodyLimits)
    app.add_middleware(SecurityHeaders)
    return app
