"""Where what can be computed again is kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

FOLDER_VARIABLE = "PARETOMERGE_CACHE_DIR"


def cache_folder(kind: str) -> Path:
    """The folder of one kind: below `PARETOMERGE_CACHE_DIR` if set, else where user caches belong."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given).expanduser() / kind
    return platformdirs.user_cache_path("paretomerge") / kind
