"""The folder in which a merge lies while it is written: hidden, beside the final one, and on the same disk."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from search_spaces.errors import ExportError, SpecificationError


def partial_folder(final: Path) -> Path:
    """Where this process makes an export."""
    return final.absolute().parent / f".{final.name}.partial-{os.getpid()}"


def remove_partial_exports(final: Path) -> None:
    """Remove what makers that were killed have left; nobody else may be making this export."""
    for partial in _partial_folders(final):
        shutil.rmtree(partial, ignore_errors=True)


def _partial_folders(final: Path) -> Iterator[Path]:
    return final.absolute().parent.glob(f".{glob.escape(final.name)}.partial-*")


def _remove_abandoned(final: Path) -> None:
    """Remove those that nobody holds: a merge of 8 B parameters is 16 GB that no listing shows."""
    for partial in _partial_folders(final):
        with suppress(OSError), _held(partial) as is_held:
            if is_held:
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether this process holds the folder now; the lock goes with its process, also at `kill -9`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = True
        except OSError:  # another holds it; or a file system without locks, where nothing is taken for abandoned
            is_held = False
        yield is_held
    finally:
        os.close(descriptor)


@contextmanager
def temporary_beside(final: Path) -> Iterator[Path]:
    """A folder on the same disk, so that renaming is one step; gone unless it was renamed.

    What was left of this export by a process that was killed is removed first.

    Raises:
        SpecificationError: the final folder exists.
        ExportError: nothing can be written there.
    """
    if final.exists():
        raise SpecificationError(f"An export must go to a new folder, but '{final}' exists. Remove it or name another.")
    temporary = partial_folder(final)
    try:
        _remove_abandoned(final)
        temporary.mkdir(parents=True)
        with _held(temporary):
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
