"""A process that makes candidates, ours or the peer's: asked one after the other, it says how long each took."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class CandidateProcess:
    """Lives while its `with` block does.

    Args:
        command: prints a line of JSON with `seconds` and `peak_bytes` for every path on its stdin.

    Attributes:
        peak_bytes: as last answered.
        answer: the whole of it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peak_bytes = 0
        self.answer: dict[str, float] = {}

    def make_s(self, path: Path) -> float:
        """Seconds of one candidate.

        Raises:
            RuntimeError: the process has ended; what it said is on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process must answer with a line of JSON for {path}, but it has ended.")
        self.answer = json.loads(line)
        self.peak_bytes = int(self.answer["peak_bytes"])
        return self.answer["seconds"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
