"""Where the files of docker/ lie, and a Dockerfile as its instructions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
SCRIPTS = DOCKER / "scripts"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of the Dockerfile: its word, and what follows it."""

    word: str
    rest: str

    @property
    def arguments(self) -> list[str]:
        """Words without flags, or the elements of the JSON form."""
        if self.rest.startswith("["):
            elements: list[str] = json.loads(self.rest)
            return elements
        return [word for word in self.rest.split() if not word.startswith("--")]


def instructions_of(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile, in order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield Instruction(word, rest.strip())
