"""The models that a mergekit file names, as folders here."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.errors import CheckpointError


def model_folder(named: str, file: Path) -> str:
    """A model's folder, absolute.

    Args:
        named: as the file has it. A path is seen from the file's folder, then from the working directory, as mergekit
            does.
        file: that names it.

    Raises:
        CheckpointError: there is no such folder.
    """
    given = os.path.expanduser(named)
    for folder in (file.absolute().parent / given, Path.cwd() / given):
        if folder.is_dir():
            return str(folder.resolve())
    raise CheckpointError(
        f"A model must be a folder, but '{named}' of '{file}' is none, neither seen from that file nor from here. "
        "Download it, and name its folder."
    )
