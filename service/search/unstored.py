"""What a session that loses its database leaves to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.evaluation import Evaluation, Score


@dataclass(slots=True)
class Unstored:
    """What workers know of a search and its study does not; it outlives a session that loses its database.

    Args:
        under_way: the trials that workers have.
        evaluations: trial → what could not be stored.
        judged: the finished trials that workers score on what was held out.
        verdicts: trial → its scores there that could not be stored.
    """

    under_way: set[int] = field(default_factory=set)
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    judged: set[int] = field(default_factory=set)
    verdicts: dict[int, Mapping[str, Score]] = field(default_factory=dict)
