"""What is to be exported, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.search.preparation import PreparedSearch
from service.studies import FinishedTrial


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and where to.

    Args:
        prepared: the search.
        trial: the selected one.
        landmarks: trials to compare it with in the model card.
        folder: the final name; must not exist.
        max_shard_size: as in `save_pretrained`.
    """

    prepared: PreparedSearch
    trial: FinishedTrial
    landmarks: tuple[FinishedTrial, ...]
    folder: Path
    max_shard_size: str = "5GB"
