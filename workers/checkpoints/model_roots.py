"""Where a node has a folder that others have elsewhere: below roots of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOTS_VARIABLE = "PARETOMERGE_MODEL_ROOTS"


def on_this_node(folder: str | Path) -> Path:
    """A folder as it is called where this process runs.

    Args:
        folder: as it is called elsewhere. Where it is not there, it is looked for below the roots in
            `PARETOMERGE_MODEL_ROOTS`, by the longest part of the end of its path that one of them has.

    Returns:
        The folder itself, where no root has any of it.
    """
    path = Path(folder)
    if path.is_dir():
        return path
    return next((found for found in _below_roots(path) if found.is_dir()), path)


def _below_roots(path: Path) -> Iterator[Path]:
    names = Path(os.path.normpath(path)).parts
    names = names[1:] if path.is_absolute() else names
    for n_left_out in range(len(names)):
        for root in model_roots():
            yield root.joinpath(*names[n_left_out:])


def model_roots() -> tuple[Path, ...]:
    """The roots of this node, in order."""
    given = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
    return tuple(Path(root).expanduser() for root in given if root)
