"""uvicorn around the application, which ends soon and quietly."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from fastapi import FastAPI

from service.api.routes.page import pack_plotly

# In which calls under way may end; streams end at once.
_GRACE_S = 2
# Of an idle connection.
_KEEP_ALIVE_S = 15


class ServiceServer(uvicorn.Server):
    """Answers calls; when it ends, streams end at once, and calls under way have two seconds.

    Args:
        app: see `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                # Which addresses are called is nobody's to keep; a proxy may.
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`; also packs plotly.js, for which the first reader would else wait."""
        self._app.state.stopping = asyncio.Event()
        await super().startup(sockets)
        self._packing = asyncio.get_running_loop().run_in_executor(None, pack_plotly)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        self._app.state.stopping.set()
        await super().shutdown(sockets)


def run_server(app: FastAPI, listener: socket.socket) -> None:
    """Answer calls until a signal comes, which is raised again when all has ended.

    Args:
        app: see `create_app`.
        listener: bound already, so that a port that is taken was found before anything was started.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ServiceServer(app).run([listener])
