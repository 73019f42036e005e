"""Optuna Dashboard, reading only."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

# It works at the root alone: its pages name these by heart.
_PREFIXES = ("/dashboard", "/api", "/static", "/csv", "/artifacts")
# Two at a time: what it reads of a large study keeps a core busy, and searches shall go on.
_N_THREADS = 2


class Dashboard:
    """Optuna Dashboard over a service's database, opened by the first call to it; an application of ASGI."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call; the address is left as it is."""
        dashboard = await run_in_threadpool(self._dashboard_of, scope["app"].state)
        if not any(name == b"accept-encoding" for name, _ in scope["headers"]):
            # It looks at the header without asking whether it is there.
            scope = {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
        await dashboard(scope, receive, send)

    def _dashboard_of(self, state: State) -> ASGIApp:
        with self._lock:
            if not hasattr(state, "dashboard"):
                state.dashboard = _open(state.context.engine)
            found: ASGIApp = state.dashboard
            return found


def _open(engine: Engine) -> ASGIApp:
    import optuna_dashboard
    from a2wsgi import WSGIMiddleware

    from service.studies import optuna_storage

    opened: Any = WSGIMiddleware(optuna_dashboard.wsgi(optuna_storage(engine)), workers=_N_THREADS)
    found: ASGIApp = opened
    return found


def _routes() -> list[BaseRoute]:
    app = Dashboard()
    paths = ["/favicon.ico", *_PREFIXES, *(f"{prefix}/{{rest:path}}" for prefix in _PREFIXES)]
    # What it writes by POST, PUT and DELETE is answered by 405, as everywhere else.
    return [Route(path, app, methods=["GET", "HEAD"], include_in_schema=False) for path in paths]


router = APIRouter(routes=_routes())
