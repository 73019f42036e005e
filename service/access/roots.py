"""Which files a client may name: those below the roots, with all symbolic links resolved."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import AccessError, SpecificationError

# What file systems take; a longer one is a mistake, or meant to be one.
_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 255
# Of files in a model's folder, those below it included; real ones hold a few dozen.
_MAX_FILES = 2000
_WINDOWS = re.compile(r"\\|^[A-Za-z]:")
_RECIPE_SUFFIXES = (".yaml", ".yml")
_NOWHERE = Path("/dev/null/nowhere")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders below which models and sets may lie.

    A path is seen from the roots of its kind, then from the others, and must lie below one of either kind. Nothing
    that is outside is looked at in any way that an answer could tell of.

    Args:
        models: seen first for models.
        sets: seen first for sets.
        bundled: folders that may be named by their absolute path only.
    """

    models: tuple[Path, ...]
    sets: tuple[Path, ...]
    bundled: tuple[Path, ...] = ()

    def model(self, given: str, key: str) -> str:
        """A model's folder, absolute and without links.

        Raises:
            AccessError: it, or a file in it, is out of reach.
            SpecificationError: there is none such.
        """
        found = self._resolved(given, key, (*self.models, *self.sets))
        if not found.is_dir():
            raise SpecificationError(
                f"`{key}` must be the folder of a model below {_told(self.models, '--models')}, but '{given}' is none "
                "there."
            )
        self._check_files(found, given, key)
        return str(found)

    def has_folder(self, given: str, key: str) -> bool:
        """Whether a folder below a root is called so.

        Raises:
            AccessError: it is out of reach.
        """
        return self._resolved(given, key, (*self.models, *self.sets)).is_dir()

    def set(self, given: str, key: str) -> str:
        """A set's file, absolute and without links.

        Raises:
            AccessError: it is out of reach.
            SpecificationError: there is none such.
        """
        found = self._resolved(given, key, (*self.sets, *self.models))
        if not found.is_file():
            raise SpecificationError(
                f"`{key}` must be a JSONL file below {_told(self.sets, '--sets')}, but '{given}' is none there."
            )
        return str(found)

    def recipe(self, given: str, key: str) -> str:
        """A mergekit file, absolute and without links.

        Raises:
            AccessError: it is out of reach, or not called as YAML is: what another file holds is nobody's to read.
            SpecificationError: there is none such.
        """
        found = self._resolved(given, key, (*self.models, *self.sets))
        if found.suffix not in _RECIPE_SUFFIXES and found != _NOWHERE:
            raise AccessError(f"`{key}` must be a {' or '.join(_RECIPE_SUFFIXES)} file, but got '{given}'.")
        if not found.is_file():
            raise SpecificationError(
                f"`{key}` must be a mergekit file below {_told(self.models, '--models')}, but '{given}' is none there."
            )
        return str(found)

    def holds(self, path: Path) -> bool:
        """Whether a path, with all links resolved, is below a root."""
        return self._is_inside(Path(os.path.realpath(path)))

    def _resolved(self, given: str, key: str, seen_from: tuple[Path, ...]) -> Path:
        _check_words(given, key)
        if Path(given).is_absolute():
            return self._inside(Path(given), given, key)
        for root in seen_from:
            # Checked before it is looked for: that something exists outside must not be told either.
            path = self._inside(root / given, given, key)
            if _exists(path):
                return path
        return _NOWHERE

    def _inside(self, path: Path, given: str, key: str) -> Path:
        real = Path(os.path.realpath(path))
        if not self._is_inside(real):
            raise AccessError(
                f"`{key}` must lie below a root of the service, but '{given}' does not. "
                "`GET /v1/choices` lists what can be named."
            )
        return real

    def _is_inside(self, real: Path) -> bool:
        roots = (Path(os.path.realpath(root)) for root in (*self.models, *self.sets, *self.bundled))
        return any(real.is_relative_to(root) for root in roots)

    def _check_files(self, folder: Path, given: str, key: str) -> None:
        """A link in a model's folder is followed when the model is loaded; a pipe would be waited for."""
        for count, path in enumerate(_files_below(folder), start=1):
            if count > _MAX_FILES:
                raise SpecificationError(
                    f"`{key}` must be the folder of one model, but '{given}' holds more than {_MAX_FILES} files."
                )
            if not self.holds(path) or _is_special(path):
                raise AccessError(
                    f"`{key}` must hold files below a root of the service alone, but '{path.name}' in '{given}' is "
                    "none of them. Copy it to where it is named."
                )


def _check_words(given: str, key: str) -> None:
    """Refuse what no honest path holds, before any file system sees it."""
    parts = Path(given).parts
    if _CONTROL.search(given):
        raise SpecificationError(f"`{key}` must be a path of plain characters, but holds a control character.")
    if len(os.fsencode(given)) > _MAX_PATH_BYTES or any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in parts):
        raise SpecificationError(
            f"`{key}` must be a path of {_MAX_PATH_BYTES} bytes at most, and {_MAX_NAME_BYTES} for each name in it, "
            f"but got '{given[:60]}...'."
        )
    if ".." in parts or given.startswith("~") or _WINDOWS.search(given):
        raise AccessError(
            f"`{key}` must be a path downwards from a root of the service, without `..`, `~`, backslashes and drive "
            f"letters, but got '{given}'."
        )


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _is_special(path: Path) -> bool:
    """Whether it is neither a file nor a folder: a device, a pipe, a socket, a link to nowhere."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return True
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent) / name for name in (*folders, *files))


def _told(roots: tuple[Path, ...], option: str) -> str:
    names = " or ".join(f"'{root}'" for root in roots)
    return names or f"a root (the service was given none: see its option `{option}`)"
