"""The contract of a scorer: a set and an engine in, a `Score` out; higher is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from workers.evaluation import Score
from workers.example_set import Example
from workers.inference_engines import InferenceEngine


@dataclass(frozen=True)
class ScorerOptions:
    """What a specification may say of a scorer under `options`; each scorer with options derives its own.

    Fields are plain JSON values, checked in `__post_init__` by `SpecificationError`s that name the field.
    """

    # Read by pydantic, which fills them in from the specification.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def seen_from(self, folder: Path) -> Self:
        """The same with absolute paths, for options that hold paths."""
        return self

    def check(self) -> None:
        """Look at what the options name on the disk: cheap, so that nothing long runs in vain.

        Raises:
            UserError: it cannot do what is asked of it.
        """


class Scorer(ABC):
    """A measure over one set; what does not depend on the weights is done once, when it is made.

    Class attributes:
        name: in a specification.
        required_fields: of `Example`, that every example must have.
        optional_fields: of `Example`, that it reads where an example has them.
        differentiable: whether a gradient of it exists.
        upper_bound: what it cannot exceed and flattens towards, as a likelihood does; None where it does not.
        options_type: what may be said of it.
        brings_examples: it has examples of its own, and a specification names no set.

    Args:
        examples: at least one, unless it brings its own.
        engine: over the live candidate.
        options: of `options_type`; None takes its defaults.
    """

    name: ClassVar[str]
    required_fields: ClassVar[tuple[str, ...]]
    optional_fields: ClassVar[tuple[str, ...]] = ()
    differentiable: ClassVar[bool] = False
    upper_bound: ClassVar[float | None] = None
    options_type: ClassVar[type[ScorerOptions]] = ScorerOptions
    brings_examples: ClassVar[bool] = False

    def __init__(
        self, examples: Sequence[Example], engine: InferenceEngine, options: ScorerOptions | None = None
    ) -> None:
        self.engine = engine
        # Of `options_type`, which only the scorer itself knows more of.
        self.options: Any = options if options is not None else self.options_type()
        self.prepare(examples)

    @abstractmethod
    def prepare(self, examples: Sequence[Example]) -> None:
        """Tokenize the set."""

    @abstractmethod
    def per_example(self) -> list[float]:
        """Each example's score under the candidate's present weights, in the set's order."""

    def score(self) -> Score:
        """The mean over the set, with its standard error."""
        return Score.mean_of(self.per_example())
