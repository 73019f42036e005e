"""`--ray-address`: the cluster whose workers a command uses, whatever its specification says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from search_spaces.errors import SpecificationError

if TYPE_CHECKING:
    from service.search import PreparedSearch
    from service.specification import Specification

RayAddress = Annotated[
    str,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        help="A running Ray cluster, in place of the one in `workers.address`; `local` is one of this machine.",
    ),
]


def on_cluster(specification: Specification, address: str) -> Specification:
    """The same specification for a cluster; it stays the same study, for workers are no part of its identity.

    Args:
        specification: as given.
        address: of the option; "" leaves everything as it is.
    """
    if not address:
        return specification
    workers = specification.workers.model_copy(update={"pool": "ray", "address": address})
    return specification.model_copy(update={"workers": workers})


def prepared_on_cluster(prepared: PreparedSearch, address: str) -> PreparedSearch:
    """The same for a search that was stored."""
    return replace(prepared, specification=on_cluster(prepared.specification, address))


def refuse_with_server(address: str) -> None:
    """A service has one cluster, which its clients do not choose.

    Raises:
        SpecificationError: an address is given.
    """
    if address:
        raise SpecificationError(
            f"`--ray-address` is for commands that work here, but got '{address}' with `--server`: a service has a "
            "cluster of its own. Leave one of the two out."
        )
