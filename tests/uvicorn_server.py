"""The service's own server around an application, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from service.api.server import ServiceServer


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Answer calls at the URL that is given, until the context ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = ServiceServer(app)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=60)
        listener.close()
        assert not thread.is_alive(), "The server must end when it is told to."
