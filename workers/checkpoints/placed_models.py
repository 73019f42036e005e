"""Whether a node has the models that a search is of, and not others under their names."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from search_spaces.errors import CheckpointError, MisplacedModelError
from workers.checkpoints.content_digest import content_digest
from workers.checkpoints.model_files import read_model_header
from workers.checkpoints.model_roots import ROOTS_VARIABLE

# Enough to tell two apart by eye.
_SHOWN = 12


def check_placed(models: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Compare a node's models with those of the search.

    Args:
        models: model name → `ModelReference.notation`.
        digests: model name → `content_digest`, where the search was prepared.

    Raises:
        MisplacedModelError: this node lacks one, or holds another.
    """
    for name, digest in digests.items():
        node = socket.gethostname()
        try:
            header = read_model_header(models[name])
            found = content_digest(header)
        except (CheckpointError, OSError) as error:
            raise MisplacedModelError(
                f"The node '{node}' must have the model '{name}', but has not: {error} Put it there at the same path, "
                f"below a folder in the node's `{ROOTS_VARIABLE}`, or in its cache of the hub."
            ) from None
        if found != digest:
            raise MisplacedModelError(
                f"The node '{node}' must have the search's files of the model '{name}', but those in "
                f"'{header.folder}' are others: their digest is {found[:_SHOWN]}, the search's {digest[:_SHOWN]}. Copy "
                f"them there anew, or name another place in the node's `{ROOTS_VARIABLE}`."
            )
