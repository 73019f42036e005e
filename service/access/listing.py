"""What lies below the roots, by the paths that a specification may name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from service.access.roots import Roots

# Deep enough for `organisation/model/checkpoint-100`.
_MAX_DEPTH = 4
# Of what is listed, and of what is looked at: a root may be somebody's whole disk.
_MAX_LISTED, _MAX_SEEN = 1000, 20_000

_CHECKPOINTS = ("model.safetensors", "model.safetensors.index.json")


def models_below(roots: Roots) -> list[str]:
    """Folders of checkpoints, as they are named in a specification."""
    return _listed(roots, roots.models, _is_checkpoint)


def sets_below(roots: Roots) -> list[str]:
    """JSONL files, as they are named in a specification."""
    return _listed(roots, roots.sets, lambda path: path.suffix == ".jsonl" and path.is_file())


def _listed(roots: Roots, folders: tuple[Path, ...], is_one: Callable[[Path], bool]) -> list[str]:
    found: list[str] = []
    for root in folders:
        for path in islice(_below(root, roots), _MAX_SEEN):
            name = str(path.relative_to(root))
            if is_one(path):
                # A relative path is seen from the first root that has it.
                found.append(str(path) if name in found else name)
    return sorted(found)[:_MAX_LISTED]


def _below(root: Path, roots: Roots) -> Iterator[Path]:
    """Files and folders, links followed as far as they stay below the roots; the hidden ones are left out."""
    level = [root]
    for _ in range(_MAX_DEPTH):
        inner: list[Path] = []
        for folder in level:
            for path in _entries(folder):
                if not path.name.startswith(".") and roots.holds(path):
                    yield path
                    inner.append(path)
        level = [path for path in inner if path.is_dir() and not _is_checkpoint(path)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # closed to us, or gone
        return []


def _is_checkpoint(path: Path) -> bool:
    return (path / "config.json").is_file() and any((path / name).is_file() for name in _CHECKPOINTS)
