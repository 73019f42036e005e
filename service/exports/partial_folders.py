"""The folder in which a merge lies while it is written: hidden, beside the final one, and on the same disk."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.errors import ExportError, SpecificationError


def partial_folder(final: Path) -> Path:
    """Where this process makes an export."""
    return final.absolute().parent / f".{final.name}.partial-{os.getpid()}"


def remove_partial_exports(final: Path) -> None:
    """Remove what makers that were killed have left; nobody else may be making this export."""
    for partial in final.absolute().parent.glob(f".{glob.escape(final.name)}.partial-*"):
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def temporary_beside(final: Path) -> Iterator[Path]:
    """A folder on the same disk, so that renaming is one step; gone unless it was renamed.

    Raises:
        SpecificationError: the final folder exists.
        ExportError: nothing can be written there.
    """
    if final.exists():
        raise SpecificationError(f"An export must go to a new folder, but '{final}' exists. Remove it or name another.")
    temporary = partial_folder(final)
    try:
        temporary.mkdir(parents=True)
        yield temporary
    except ExportError:
        raise
    except OSError as error:
        raise ExportError(f"The export must be written to '{final}', but cannot be: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def open_to_readers(folder: Path) -> None:
    """Let everybody read: safetensors creates its files for the owner alone, but models are shared."""
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
