"""The one connection to Ray that a process has, and the cluster of our own that may come with it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from search_spaces.errors import PoolError

# Of a cluster of our own in this machine, which ends with the connection.
LOCAL = "local"
# The connection that this process has already, such as that of an actor; it is neither made nor ended.
CONNECTED = "connected"
# Only recipes and scores travel through it.
_OBJECT_STORE_BYTES = 100 << 20


def connect_to_ray(address: str, n_cpus: int | None = None, namespace: str | None = None) -> Any:
    """Connect this process.

    Args:
        address: of a running cluster, `LOCAL`, or `CONNECTED`.
        n_cpus: of a cluster of our own; None takes the machine's.
        namespace: of named actors; None for one of this connection's own.

    Returns:
        The module `ray`.

    Raises:
        PoolError: no cluster answers or starts, or the process is connected where it must not be, or the reverse.
    """
    ray = _import_ray()
    if address == CONNECTED:
        if not ray.is_initialized():
            raise PoolError("A process must be connected to Ray for its connection to be used, but this one is not.")
        return ray
    if ray.is_initialized():
        raise PoolError("A process has one connection to Ray, but another pool holds it. Close that one first.")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": namespace}
    if address == LOCAL:
        options |= {"num_cpus": n_cpus, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    else:
        _check_reachable(address)
    # Under load the first start of a cluster of our own can pass Ray's limit of 30 s.
    attempts = 2 if address == LOCAL else 1
    for attempt in range(attempts):
        try:
            with interrupts_held_back():
                ray.init(address=address, **options)
            break
        except Exception as error:  # a process edge: Ray raises bare Exception here
            ray.shutdown()
            if attempt == attempts - 1:
                raise PoolError(f"Ray must start at '{address}', but did not: {last_line(error)}") from error
    return ray


def disconnect_from_ray(address: str) -> None:
    """End a connection that `connect_to_ray` made to this address, and with it a cluster of our own."""
    if address != CONNECTED:
        _import_ray().shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns that it will stop hiding GPUs from workers that ask for none; ours never look for one then.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray tells of a lost worker on stdout, among a command's JSON; the pool makes good for it.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed")
    import ray
    import ray.exceptions

    return ray


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes to reach a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto` and other words of Ray's
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PoolError(
            f"A Ray cluster must answer at '{address}' (`workers.address`), but none does: {error}. "
            "Start it, correct the address, or leave it out for one on this machine."
        ) from error


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Ctrl-C takes effect at the end: a start or stop of Ray that is cut short leaves processes behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if received:
            raise KeyboardInterrupt


def last_line(error: BaseException) -> str:
    """What an error of Ray's comes to: before it stands where it was raised."""
    return (str(error).strip() or repr(error)).splitlines()[-1]
