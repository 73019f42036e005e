"""How many GB a machine moves each second: measured here, or given for another machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from search_spaces.errors import SpecificationError

_GB = 1e9


@dataclass(frozen=True, slots=True)
class Bandwidths:
    """GB/s, None where neither measured nor given.

    Args:
        memory: of the CPU, reading and writing counted, of all cores together.
        device: of a GPU's own memory, likewise.
        link: from the CPU's memory to a GPU's.
        disk: of files that are not in the page cache.
    """

    memory: float | None = None
    device: float | None = None
    link: float | None = None
    disk: float | None = None

    @classmethod
    def parse(cls, text: str) -> Bandwidths:
        """Read `device=3000,link=25`.

        Raises:
            SpecificationError: it is not of that form.
        """
        known = [field.name for field in fields(cls)]
        found: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = part.partition("=")
            if name not in known or not _is_positive(number):
                raise SpecificationError(
                    f"`--bandwidth` must be numbers of GB/s above 0 such as device=3000,link=25, of "
                    f"{', '.join(known)}, but got '{part}'."
                )
            found[name] = float(number)
        return cls(**found)

    def or_else(self, other: Bandwidths) -> Bandwidths:
        """The same, with another's where there is none."""
        missing = [field.name for field in fields(self) if getattr(self, field.name) is None]
        return replace(self, **{name: getattr(other, name) for name in missing})

    def seconds(self, name: str, size_bytes: float) -> float | None:
        """How long so many bytes take; None where the bandwidth is not known."""
        bandwidth = getattr(self, name)
        return None if bandwidth is None else size_bytes / bandwidth / _GB


def _is_positive(number: str) -> bool:
    try:
        return 0 < float(number) < math.inf
    except ValueError:
        return False
