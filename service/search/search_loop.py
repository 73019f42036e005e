"""The search loop: ask, dispatch, score, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from service.search.helm import LOOK_EVERY_S, Helm
from service.search.preparation import PreparedSearch
from service.search.progress import ProgressMeter, SearchProgress
from service.search.rivals import RivalChoice
from service.search.unstored import Unstored
from service.studies import AskedTrial, FinishedTrial, SearchStudy
from workers.evaluation import Assignment, Evaluation
from workers.interrupts import interrupts_held_back
from workers.worker_pools import WorkerPool


class SearchLoop:
    """Drives one study to the end of its budget.

    Args:
        prepared: the search.
        study: its study, opened by this driver.
        pool: its workers.
        on_progress: called after every evaluation, and at the end if other drivers had the last.
        helm: of the pool; None for a loop that nobody steers.
    """

    def __init__(
        self,
        prepared: PreparedSearch,
        study: SearchStudy,
        pool: WorkerPool,
        on_progress: Callable[[SearchProgress], None] = lambda _: None,
        helm: Helm | None = None,
    ) -> None:
        self._prepared = prepared
        self._study = study
        self._pool = pool
        self._helm = helm or Helm(pool)
        self._rivals = RivalChoice(prepared, study) if prepared.specification.search.racing else None
        self._tracker = _ProgressTracker(prepared, study, on_progress)

    def run(self, unstored: Unstored | None = None) -> None:
        """Ask, dispatch, score, tell, until as many evaluations are finished as were asked for.

        One that is told to stop asks for no more, and returns when nothing is under way on a worker.

        Args:
            unstored: what an earlier loop over the same pool has left; kept up to date.

        Raises:
            PoolError: the workers are gone and cannot be replaced; the study can be resumed.
            KeyboardInterrupt: passed on; the study can be resumed.
        """
        unstored = unstored or Unstored()
        self._take_back(unstored)
        while not self._study.is_finished:
            while (
                not (stops := self._helm.is_stopping()) and self._pool.has_free_worker and (trial := self._study.ask())
            ):
                self._pool.submit(trial.number, self._assignment(trial))
                unstored.under_way.add(trial.number)
            if finished := self._pool.next_finished(timeout_s=LOOK_EVERY_S):
                unstored.evaluations.update([finished])
                unstored.under_way.discard(finished[0])
                self._tell_all(unstored)
            elif not self._pool.n_under_way:
                if stops:
                    return
                self._wait_for_others()
            elif stops and not (self._pool.n_workers or self._pool.n_alive):
                return  # what waits for a worker would wait for ever; a later driver takes it up
        self._tracker.end()

    def _take_back(self, unstored: Unstored) -> None:
        """Before anything is asked for, which would be handed out a second time."""
        for number in unstored.under_way:
            self._study.take_back(number)
        self._tell_all(unstored)

    def _tell_all(self, unstored: Unstored) -> None:
        # Cut short, a result might be stored without this driver's knowing, which would then say that it is not.
        with interrupts_held_back():
            for number, evaluation in list(unstored.evaluations.items()):
                self._tell(number, evaluation)
                del unstored.evaluations[number]

    def _assignment(self, trial: AskedTrial) -> Assignment:
        # A candidate that asks for gradients is not raced: they are of whole sets, and so are its scores.
        rivals = self._rivals.against(trial) if self._rivals and not trial.gradient else ()
        recipe, objectives = self._prepared.recipe(trial.params), self._prepared.objectives
        return Assignment(recipe, measures=objectives, rivals=rivals, gradient=trial.gradient)

    def _tell(self, number: int, evaluation: Evaluation) -> None:
        if self._study.tell(number, evaluation):
            if self._rivals:
                self._rivals.remember(number, evaluation)
            self._tracker.update(number)

    def _wait_for_others(self) -> None:
        """No worker is there; or the rest of the budget runs elsewhere, and is taken up if its driver dies."""
        if not self._study.requeue_orphans():
            time.sleep(LOOK_EVERY_S)


class _ProgressTracker:
    """Tells where the study stands after each of its trials."""

    def __init__(
        self, prepared: PreparedSearch, study: SearchStudy, on_progress: Callable[[SearchProgress], None]
    ) -> None:
        budget = prepared.specification.search.evaluations
        self._study = study
        self._on_progress = on_progress
        self._meter = ProgressMeter(prepared.objectives, budget, study.spent)
        self._n_landmarks = min(len(prepared.plan().landmarks), budget)
        self._n_arrived = 0
        self._n_told = 0

    def update(self, number: int) -> None:
        news = self._count_news()
        self._tell(next((trial for trial in news if trial.number == number), None))

    def end(self) -> None:
        """What other drivers did since this one's last evaluation."""
        self._count_news()
        if self._meter.n_finished > self._n_told > 0:
            self._tell(None)

    def _count_news(self) -> Sequence[FinishedTrial]:
        news = self._study.arrived_after(self._n_arrived)
        self._n_arrived += len(news)
        for trial in news:
            self._meter.count(trial)
        return news

    def _tell(self, last: FinishedTrial | None) -> None:
        self._n_told = self._meter.n_finished
        # Where they cost more than one each, the budget may end before they do.
        has_landmarks = self._meter.n_landmarks >= self._n_landmarks or self._study.is_finished
        self._on_progress(self._meter.measure(last, has_landmarks))
