"""The contract of a scorer: a set and an engine in, a `Score` out; higher is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from workers.evaluation import Score
from workers.example_set import Example
from workers.inference_engines import InferenceEngine


class Scorer(ABC):
    """A measure over one set; what does not depend on the weights is done once, when it is made.

    Args:
        examples: at least one.
        engine: over the live candidate.
    """

    name: ClassVar[str]
    required_fields: ClassVar[tuple[str, ...]]
    differentiable: ClassVar[bool] = False

    def __init__(self, examples: Sequence[Example], engine: InferenceEngine) -> None:
        self.engine = engine
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
