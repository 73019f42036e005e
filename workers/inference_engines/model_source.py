"""Where a model that is not merged comes from: a generator, a guard, a judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from search_spaces.errors import SpecificationError


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A folder on disk, or a name at an OpenAI-compatible endpoint.

    Args:
        model: a folder of a checkpoint; with `endpoint`, the model's name there.
        endpoint: its URL up to `/v1`; "" for a folder.
        api_key_env: the environment variable that holds the key. The key itself is nowhere written down.
        n_parallel: requests at a time to an endpoint.
        timeout_s: of one request to an endpoint.
        max_retries: of one request, with growing pauses, before the endpoint counts as down.
    """

    model: str
    endpoint: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    n_parallel: int = 4
    timeout_s: float = 120.0
    max_retries: int = 5

    # Read by pydantic, where a specification is checked.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        least = {"n_parallel": 1, "max_retries": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise SpecificationError(f"`{name}` must be at least {minimum}, but got {getattr(self, name)}.")
        if self.timeout_s <= 0:
            raise SpecificationError(f"`timeout_s` must be above 0, but got {self.timeout_s}.")

    @classmethod
    def of(cls, given: Any, key: str) -> Self:
        """Read what a specification says: the path of a folder, or a mapping with `endpoint` and `model`.

        Raises:
            SpecificationError: it is neither; the message names `key`.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, str) and given:
            return cls(given)
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            own = first.get("ctx", {}).get("error")
            if isinstance(own, SpecificationError):  # of `__post_init__`, which names the field itself
                raise SpecificationError(f"`{key}`: {own}") from None
            place = ".".join([key, *(str(part) for part in first["loc"])])
            raise SpecificationError(
                f"`{key}` must be the folder of a model, or a mapping with `endpoint` and `model`, "
                f"but `{place}`: {first['msg'].lower()}."
            ) from None

    def seen_from(self, folder: Path) -> Self:
        """The same with an absolute path, where it is a folder."""
        return self if self.endpoint else replace(self, model=str(folder / self.model))

    def __str__(self) -> str:
        return f"{self.model} at {self.endpoint}" if self.endpoint else self.model
