"""Guards: who judges answers; one file each, one contract, all registered in `GUARDS`; none imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.errors import SpecificationError
from workers.guards._base import Guard, Verdict
from workers.guards.classifier import Classifier
from workers.guards.llama_guard import LlamaGuard
from workers.guards.openings import Openings
from workers.guards.refusal_openings import is_refusal

_GUARDS: tuple[type[Guard], ...] = (Classifier, LlamaGuard, Openings)

GUARDS: Mapping[str, type[Guard]] = MappingProxyType({guard.name: guard for guard in _GUARDS})


def guard_from(given: Any, key: str) -> Guard:
    """Read what a specification says of a guard.

    Args:
        given: `openings`, or a mapping with a guard's name and its model: a folder, or a mapping with `endpoint` and
            `model`.
        key: where in the specification it stands, for errors.

    Raises:
        SpecificationError: it means no guard.
    """
    words = {given: None} if isinstance(given, str) else given
    named = [name for name in GUARDS if isinstance(words, Mapping) and name in words]
    if len(named) != 1:
        raise SpecificationError(
            f"`{key}` must be `openings`, or a mapping with `llama_guard` or `classifier` and its model, "
            f"but got {given!r}."
        )
    name = named[0]
    return GUARDS[name].read(words[name], {other: value for other, value in words.items() if other != name}, key)


__all__ = ["GUARDS", "Classifier", "Guard", "LlamaGuard", "Openings", "Verdict", "guard_from", "is_refusal"]
