"""Disks that are full: small file systems in memory, where they can be mounted."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class SmallDisk:
    """A folder with a file system of its own, if this user may mount one; a plain folder if not.

    Args:
        folder: made where it is not there.
        size_bytes: how much it holds.
    """

    folder: Path
    size_bytes: int
    is_mounted: bool = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.is_mounted = _mount(f"size={self.size_bytes},mode=755", self.folder)

    def grow(self, size_bytes: int) -> None:
        """Let it hold more."""
        if self.is_mounted:
            _mount(f"remount,size={size_bytes}", self.folder)

    def fill(self) -> None:
        """Leave no room in it; a plain folder stays as it is."""
        if self.is_mounted:
            with open(self._filler, "wb") as file:
                # What is freed meanwhile is taken as well.
                for block_bytes in (1 << 20, 1 << 12):
                    with suppress(OSError):
                        while True:
                            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, block_bytes)

    def free(self) -> None:
        """Take back what `fill` did."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def _mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
