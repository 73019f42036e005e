"""What is to be exported, and where to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import SelectionError, SpecificationError
from service.search.preparation import PreparedSearch
from service.studies import FinishedTrial

_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGT]B", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and where to.

    Args:
        prepared: the search.
        trial: the selected one; scored whole, for the export is checked against its values.
        landmarks: trials to compare it with in the model card.
        folder: the final name; must not exist.
        max_shard_size: as in `save_pretrained`.

    Raises:
        SpecificationError: the size is none.
        SelectionError: racing stopped the trial.
    """

    prepared: PreparedSearch
    trial: FinishedTrial
    landmarks: tuple[FinishedTrial, ...]
    folder: Path
    max_shard_size: str = "5GB"

    def __post_init__(self) -> None:
        check_exportable(self.trial)
        check_shard_size(self.max_shard_size)


def check_exportable(trial: FinishedTrial) -> None:
    """Refuse a trial whose values are estimates.

    Raises:
        SelectionError: racing stopped it.
    """
    if trial.was_stopped:
        raise SelectionError(
            f"An export must score as its trial did, but racing stopped {trial.label} after "
            f"{trial.share:.0%} of its examples, and its values are estimates. Another trial beats it in "
            "every objective: export one of the front."
        )


def check_shard_size(given: str) -> None:
    """Refuse what `save_pretrained` would not take.

    Raises:
        SpecificationError: it is no size.
    """
    if not _SIZE.fullmatch(given):
        raise SpecificationError(
            f"`max_shard_size` must be a number and KB, MB, GB or TB, such as 5GB, but got '{given}'."
        )
