"""The folder in which an export lies while it is made: hidden, beside the final one, and on the same disk."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path


def partial_folder(final: Path) -> Path:
    """Where this process makes an export."""
    return final.absolute().parent / f".{final.name}.partial-{os.getpid()}"


def remove_partial_exports(final: Path) -> None:
    """Remove what makers that were killed have left; nobody else may be making this export."""
    for partial in final.absolute().parent.glob(f".{glob.escape(final.name)}.partial-*"):
        shutil.rmtree(partial, ignore_errors=True)
