"""The one connection to Ray that a process has, and the cluster of our own that may come with it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from search_spaces.errors import PoolError
from workers.interrupts import interrupts_held_back

# Of a cluster of our own in this machine, which ends with the connection.
LOCAL = "local"
# The connection that this process has already, such as that of an actor; it is neither made nor ended.
CONNECTED = "connected"
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
# Only recipes and scores travel through it.
_OBJECT_STORE_BYTES = 100 << 20
# What workers are made of; it goes to the nodes of a cluster elsewhere, which need what it depends on and nothing else.
WORKERS_CODE = ("search_spaces", "workers")
# Megabytes that nobody imports.
_STAYS_HERE = ("tiny_family", "page")
# What Ray tells of lost workers and nodes on stdout, among a command's JSON; the pool makes good for it, and says so.
_UNTOLD = "A worker died or was killed|Raylet is terminated|has been marked dead"


def is_cluster_elsewhere(address: str) -> bool:
    """Whether an address is that of a running cluster, whose nodes others started."""
    return address not in (LOCAL, CONNECTED)


def connect_to_ray(
    address: str, n_cpus: int | None = None, namespace: str | None = None, code: Sequence[str] = WORKERS_CODE
) -> Any:
    """Connect this process.

    Args:
        address: of a running cluster, `LOCAL`, or `CONNECTED`.
        n_cpus: of a cluster of our own; None takes the machine's.
        namespace: of named actors; None for one of this connection's own.
        code: packages that go to the nodes of a cluster elsewhere, before what they may have of the same name. Ray
            keeps each under a digest of its content, and sends it again only when that has changed.

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
        _check_reachable(address, _as_ray_takes_it(ray, address))
        options["runtime_env"] = {"py_modules": [_folder(package) for package in code], "excludes": [*_STAYS_HERE]}
    # Which it does since `ray start` found one; Ray does not say so.
    hint = "" if address == LOCAL else ". If the cluster asks for a token, set `RAY_AUTH_MODE=token`."
    # Under load the first start of a cluster of our own can pass Ray's limit of 30 s.
    attempts = 2 if address == LOCAL else 1
    for attempt in range(attempts):
        try:
            with interrupts_held_back():  # a start that is cut short leaves processes behind
                ray.init(address=address, **options)
            break
        except Exception as error:  # a process edge: Ray raises bare Exception here
            ray.shutdown()
            if attempt == attempts - 1:
                raise PoolError(f"Ray must start at '{address}', but did not: {last_line(error)}{hint}") from error
    return ray


def disconnect_from_ray(address: str) -> None:
    """End a connection that `connect_to_ray` made to this address, and with it a cluster of our own."""
    if address != CONNECTED:
        _import_ray().shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray warns that it will stop hiding GPUs from workers that ask for none; ours never look for one then.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _UNTOLD)
    import ray
    import ray.exceptions

    return ray


def _folder(package: str) -> str:
    found = find_spec(package)
    assert found is not None  # this is one of them
    assert found.submodule_search_locations is not None
    return str(found.submodule_search_locations[0])


def _as_ray_takes_it(ray: Any, address: str) -> str:
    """Ray asks for this machine by its address in the network, where others call it by one that only it knows."""
    host, _, port = address.rpartition(":")
    return f"{ray.util.get_node_ip_address()}:{port}" if host in _LOOPBACK else address


def _check_reachable(address: str, real_address: str) -> None:
    """Ray itself tries for minutes to reach a cluster that is not there."""
    host, _, port = real_address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto` and other words of Ray's
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PoolError(
            f"A Ray cluster must answer at '{address}' (`workers.address`), but at {real_address} none does: {error}. "
            "Start it, correct the address, or leave it out for one on this machine."
        ) from error


def last_line(error: BaseException) -> str:
    """What an error of Ray's comes to: before it stands where it was raised."""
    return (str(error).strip() or repr(error)).splitlines()[-1]
