"""A study at one moment: finished trials, scores on held-out examples, and all that is derived from them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

from service.results import Standing
from service.search.measures import HOLDOUT
from service.studies import FinishedTrial
from workers.evaluation import Score

# Kept of one moment of one study: clients choose their pages and constraints freely.
_MAX_BODIES = 32
MAX_BODY_BYTES = 1_000_000
# Of gzip: higher ones take longer than they save on the way.
_COMPRESSION = 3


@dataclass(frozen=True, slots=True)
class Body:
    """An answer that is built once and sent to many.

    Args:
        content: JSON.
        compressed: the same, by gzip.
        etag: the same for the same content, whichever process has built it.
    """

    content: bytes
    compressed: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> Body:
        """The body with this content."""
        etag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        return cls(content, gzip.compress(content, _COMPRESSION, mtime=0), etag)


@dataclass(frozen=True)
class StudyView:
    """One moment of a study; nothing in it changes.

    Args:
        name: of search and study.
        line: of views that grow out of each other; a study that is made again begins another.
        version: counts the moments of a line that differ.
        study_id: Optuna's; None while there is no study.
        objectives: the names of the trials' values.
        specification: as the study's driver stored it, or as it waits.
        arrivals: trial number → Optuna's id, in the order in which this process learned of them.
        trials: the finished ones, by number and without parameters.
        held_out: trial number → measure, with its suffix → score.
        front: the non-dominated ones, the best in the first objective first.
        clearly_dominated: the numbers of those that another one beats by more than the errors of both.
    """

    name: str
    line: str
    version: int
    study_id: int | None
    objectives: tuple[str, ...]
    specification: Mapping[str, Any]
    arrivals: Mapping[int, int] = field(default_factory=dict)
    trials: tuple[FinishedTrial, ...] = ()
    held_out: Mapping[int, Mapping[str, Score]] = field(default_factory=dict)
    front: tuple[FinishedTrial, ...] = ()
    clearly_dominated: frozenset[int] = frozenset()
    _bodies: dict[object, Body] = field(default_factory=dict, init=False, repr=False, compare=False)
    _building: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @cached_property
    def standing(self) -> Standing:
        """Where the trials stand to each other, on the examples of the search."""
        return Standing(self.trials, len(self.objectives), self.front, self.clearly_dominated)

    @cached_property
    def holdout_standing(self) -> Standing:
        """Where those that were scored on held-out examples in every objective stand to each other there."""
        measures = [f"{objective}{HOLDOUT}" for objective in self.objectives]
        return Standing(
            [
                _as_held_out(trial, [self.held_out[trial.number][measure] for measure in measures])
                for trial in self.trials
                if self.held_out.get(trial.number, {}).keys() >= set(measures)
            ],
            len(self.objectives),
        )

    @cached_property
    def _by_number(self) -> dict[int, FinishedTrial]:
        return {trial.number: trial for trial in self.trials}

    def trial(self, number: int) -> FinishedTrial | None:
        """The finished trial of that number."""
        return self._by_number.get(number)

    def arrived_after(self, n_known: int) -> list[FinishedTrial]:
        """The trials after the first `n_known` that this process learned of."""
        return [self._by_number[number] for number in list(self.arrivals)[n_known:]]

    def built(self, key: object) -> Body | None:
        """The body of that key, if it has been built."""
        return self._bodies.get(key)

    def build(self, key: object, make: Callable[[StudyView], bytes]) -> Body:
        """The body of that key; the first who asks builds it, and nobody beside him."""
        with self._building:
            found = self._bodies.get(key)
            if found is None:
                found = Body.of(make(self))
                self._keep(key, found)
            return found

    def _keep(self, key: object, body: Body) -> None:
        if len(body.content) > MAX_BODY_BYTES:
            return
        if len(self._bodies) >= _MAX_BODIES:
            del self._bodies[next(iter(self._bodies))]
        self._bodies[key] = body


def _as_held_out(trial: FinishedTrial, scores: Sequence[Score]) -> FinishedTrial:
    """The trial with what it scored on held-out examples; scored whole there, also if it lost a race before."""
    errors = tuple(score.standard_error for score in scores)
    return replace(trial, values=tuple(score.value for score in scores), standard_errors=errors, share=1.0)
