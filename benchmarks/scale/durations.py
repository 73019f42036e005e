"""How long an evaluation takes: a distribution, as it is written on a command line."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

FORMS = "fixed:S, exponential:MEAN or lognormal:MEAN,SIGMA"


class Durations:
    """Seconds of one evaluation after the other, the same under a seed.

    Args:
        text: `fixed:5`, `exponential:5` (mean) or `lognormal:5,0.2` (mean, and the logarithm's spread).
        seed: of the draws.

    Raises:
        ValueError: another text.
    """

    def __init__(self, text: str, seed: int = 0) -> None:
        kind, _, numbers = text.partition(":")
        try:
            given = [float(number) for number in numbers.split(",")]
            self._draw = _draws(kind, given, Random(seed))
        except ValueError:
            raise ValueError(f"Seconds of an evaluation must be {FORMS}, but got '{text}'.") from None
        self.mean_s = given[0]

    def draw_s(self) -> float:
        """Of the next evaluation."""
        return self._draw()


def _draws(kind: str, given: list[float], random: Random) -> Callable[[], float]:
    match kind, given:
        case "fixed", [seconds]:
            return lambda: seconds
        case "exponential", [mean]:
            return lambda: random.expovariate(1 / mean)
        case "lognormal", [mean, sigma]:
            return lambda: mean * random.lognormvariate(-(sigma**2) / 2, sigma)
    raise ValueError(math.nan)
