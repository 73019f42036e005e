"""The folder of a guard's model, as far as it can be judged without loading it."""

from __future__ import annotations

from pathlib import Path

from search_spaces.errors import CheckpointError
from workers.checkpoints.header import CheckpointHeader, read_header
from workers.inference_engines import ModelSource


def read_guard_header(source: ModelSource) -> CheckpointHeader:
    """Configuration and tensor headers of a guard's folder.

    Raises:
        CheckpointError: there is no such folder, or no checkpoint in it.
    """
    if not Path(source.model).is_dir():
        raise CheckpointError(
            f"A guard must be the folder of a model, but '{source}' is not there. Nothing is downloaded: "
            "get the model first, and name its folder."
        )
    return read_header(source.model)
