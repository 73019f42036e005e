"""How a service is set up: where it listens, what clients may reach, and the cluster that it drives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

# Of a specification or any other body; the largest real ones are a few kilobytes.
MAX_BODY_BYTES = 128 * 1024
# In which a body must have come in whole.
BODY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What `paretomerge serve` was told.

    Args:
        database_url: with psycopg as its driver.
        exports: the folder below which exports go.
        models: folders below which models may lie.
        sets: folders below which sets may lie.
        endpoints: URLs of OpenAI-compatible servers that a specification may name.
        hub_models: whether a specification may name models by their hub ids, which are fetched then.
        token: what clients must show; "" asks for none.
        host: the address to listen on.
        port: to listen on.
        n_slots: searches that run at once; the rest wait.
        ray_address: of a running cluster, or `local` for one of the service's own in this machine.
        n_cpus: of a cluster of its own; None takes the machine's.
    """

    database_url: str = field(repr=False)
    exports: Path
    models: tuple[Path, ...] = ()
    sets: tuple[Path, ...] = ()
    endpoints: tuple[str, ...] = ()
    hub_models: bool = False
    token: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 8008
    n_slots: int = 4
    ray_address: str = "local"
    n_cpus: int | None = None
