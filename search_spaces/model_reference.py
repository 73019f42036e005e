"""Which model: a folder or a hub id at a revision, with a LoRA adapter or without; mergekit's notation of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from search_spaces.errors import SpecificationError

# As the hub takes them: two names of 96 characters.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
# A branch, a tag or a commit.
_REVISION = re.compile(r"[A-Za-z0-9_][\w./-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model as a person names it.

    Args:
        model: folder or hub id.
        revision: branch, tag or commit of a hub id; None takes the hub's main branch.
        adapter: folder or hub id of a LoRA adapter that is folded into the model.
        adapter_revision: of the adapter.

    Raises:
        SpecificationError: a revision of something that is no hub id, or names that the notation cannot hold.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None
    adapter_revision: str | None = None

    def __post_init__(self) -> None:
        _check_revision(self.model, self.revision)
        _check_revision(self.adapter or "", self.adapter_revision)
        if self.adapter is not None and "+" in self.model + self.adapter:
            raise SpecificationError(
                f"A model with an adapter must be named without `+`, which stands between the two, but got "
                f"'{self.model}' and '{self.adapter}'. Name the folders otherwise, or link to them."
            )

    @property
    def notation(self) -> str:
        """`model@revision+adapter@revision`, as mergekit writes it."""
        model = _at(self.model, self.revision)
        return model if self.adapter is None else f"{model}+{_at(self.adapter, self.adapter_revision)}"

    @property
    def label(self) -> str:
        """A short name for people: hub ids as they are, the last names of folders."""
        parts = (self.model, self.adapter)
        return " + ".join(part if is_hub_id(part) else part.rstrip("/").rpartition("/")[2] for part in parts if part)

    @classmethod
    def parse(cls, notation: str) -> ModelReference:
        """The inverse of `notation`; what is no hub id has no revision, so that a folder may hold `@`.

        Raises:
            SpecificationError: see the class.
        """
        model, plus, adapter = notation.partition("+")
        if not model or (plus and not adapter):
            raise SpecificationError(f"A model must be given as `model` or `model+adapter`, but got '{notation}'.")
        return cls(*_split(model), *(_split(adapter) if adapter else (None, None)))


def is_hub_id(text: str) -> bool:
    """Whether a text has the form `organisation/name`; so have many paths, which are looked for first."""
    return _HUB_ID.fullmatch(text) is not None and not any(odd in text for odd in ("--", "..")) and text[-4:] != ".git"


def _split(part: str) -> tuple[str, str | None]:
    name, at, revision = part.partition("@")
    return (name, revision) if at and is_hub_id(name) else (part, None)


def _at(name: str, revision: str | None) -> str:
    return name if revision is None else f"{name}@{revision}"


def _check_revision(name: str, revision: str | None) -> None:
    if revision is None:
        return
    if not is_hub_id(name):
        raise SpecificationError(f"Only a hub id has revisions, but '{name}' is none and got '{revision}'.")
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise SpecificationError(
            f"The revision of '{name}' must be a branch, a tag or a commit of the hub, but got '{revision}'."
        )
