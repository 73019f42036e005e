"""What each stage of the loop takes of the driver, trial by trial."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.search import SearchProgress
from service.studies import AskedTrial, SearchStudy
from workers.evaluation import Evaluation

STAGES = ("sampler", "ask", "tell", "progress", "rest")


@dataclass(slots=True)
class StageClock:
    """CPU and wall seconds by stage; and the process's CPU seconds when each trial was asked for and told.

    Args:
        cpu_s: stage → of this thread.
        wall_s: stage → likewise.
        told_cpu_s: of the whole process, in the order in which trials were told.
        asked_cpu_s: likewise, as they were asked for.
    """

    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    wall_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    told_cpu_s: list[float] = field(default_factory=list)
    asked_cpu_s: list[float] = field(default_factory=list)
    _left: tuple[float, float] = (0.0, 0.0)

    @property
    def marks_s(self) -> list[float]:
        """CPU seconds of the process at each ask and each tell, two of a trial."""
        return sorted([*self.asked_cpu_s, *self.told_cpu_s])

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done within to a stage."""
        started = _now()
        try:
            yield
        finally:
            self._left = _now()
            self.cpu_s[name] += self._left[0] - started[0]
            self.wall_s[name] += self._left[1] - started[1]

    def progressed(self, progress: SearchProgress) -> None:
        """A loop's `on_progress`: since the end of the tell, it has measured where the search stands."""
        if progress.last is None:
            return  # at the end: what other drivers did
        now = _now()
        self.cpu_s["progress"] += now[0] - self._left[0]
        self.wall_s["progress"] += now[1] - self._left[1]
        self.told_cpu_s.append(time.process_time())


def _now() -> tuple[float, float]:
    return time.thread_time(), time.perf_counter()


class TimedStudy(SearchStudy):
    """A study whose stages are timed; set `clock` before it is used."""

    clock = StageClock()

    def ask(self) -> AskedTrial | None:
        """See `SearchStudy`; the sampler's part, which is timed by itself, is in it."""
        with self.clock.stage("ask"):
            asked = super().ask()
        if asked:
            self.clock.asked_cpu_s.append(time.process_time())
        return asked

    def tell(self, number: int, evaluation: Evaluation) -> bool:
        """See `SearchStudy`."""
        with self.clock.stage("tell"):
            return super().tell(number, evaluation)


class TimedSampler(BaseSampler):
    """Times what a sampler does.

    Args:
        sampler: of the study's plan.
        clock: to which it is counted.
    """

    def __init__(self, sampler: BaseSampler, clock: StageClock) -> None:
        self._sampler, self._clock = sampler, clock

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Optuna's hook."""
        with self._clock.stage("sampler"):
            self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna's hook."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        with self._clock.stage("sampler"):
            return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna's hook."""
        with self._clock.stage("sampler"):
            return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Optuna's hook."""
        self._sampler.after_trial(study, trial, state, values)
