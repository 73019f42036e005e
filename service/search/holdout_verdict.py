"""The verdict of examples that the search did not see: front and landmarks, scored on what was held out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from service.search.helm import LOOK_EVERY_S, Helm
from service.search.preparation import PreparedSearch
from service.search.selection import front_of
from service.search.unstored import Unstored
from service.studies import FinishedTrial, SearchStudy
from workers.evaluation import Assignment, Evaluation
from workers.worker_pools import WorkerPool


class HoldoutVerdict:
    """Scores what a person may choose from; a search picks the lucky ones, and only fresh examples tell by how much.

    Args:
        prepared: the search.
        study: its study; scores go there.
    """

    def __init__(self, prepared: PreparedSearch, study: SearchStudy) -> None:
        self._prepared = prepared
        self._study = study

    def waiting(self) -> list[FinishedTrial]:
        """The trials of the front, and the landmarks, that lack a score on held-out examples."""
        needed = set(self._prepared.holdout_measures)
        if not needed:
            return []
        trials = [trial for trial in self._study.finished_trials() if trial.succeeded]
        front = {trial.number for trial in front_of(trials)}
        known = self._study.scores()
        chosen = [trial for trial in trials if trial.landmark or trial.number in front]
        return [trial for trial in chosen if not needed <= known.get(trial.number, {}).keys()]

    def run(
        self,
        pool: WorkerPool,
        helm: Helm | None = None,
        on_score: Callable[[], None] = lambda: None,
        unstored: Unstored | None = None,
    ) -> None:
        """Score them all, or those under way when told to stop; one that fails keeps the scores of the search only.

        Args:
            pool: of workers.
            helm: of the pool; None for a verdict that nobody steers.
            on_score: called when a trial's scores are stored.
            unstored: what an earlier verdict over the same pool has left; kept up to date.
        """
        unstored = unstored or Unstored()
        self._store_all(unstored, on_score)
        helm, queue = helm or Helm(pool), deque(t for t in self.waiting() if t.number not in unstored.judged)
        if not (queue or unstored.judged):
            return  # what the pool has left is not asked for, and its scores are not those that were told
        while queue or pool.n_under_way:
            while not (stops := helm.is_stopping()) and queue and pool.has_free_worker:
                trial = queue.popleft()
                recipe = self._prepared.recipe(trial.params)
                pool.submit(trial.number, Assignment(recipe, self._prepared.holdout_measures))
                unstored.judged.add(trial.number)
            finished = pool.next_finished(timeout_s=LOOK_EVERY_S)
            if finished is not None:
                self._take(*finished, unstored)
                # One that an earlier verdict over this pool has left.
                queue = deque(trial for trial in queue if trial.number not in unstored.verdicts)
                self._store_all(unstored, on_score)
            elif not pool.n_under_way:
                if stops:
                    return
                time.sleep(0 if pool.has_free_worker else LOOK_EVERY_S)
            elif stops and not (pool.n_workers or pool.n_alive):
                return  # what waits for a worker would wait for ever

    def _take(self, number: int, evaluation: Evaluation, unstored: Unstored) -> None:
        # A ticket left from the search, whose trial another driver took over, has other measures.
        if evaluation.scores.keys() >= set(self._prepared.holdout_measures):
            unstored.verdicts[number] = evaluation.scores
        elif evaluation.succeeded:
            return
        unstored.judged.discard(number)

    def _store_all(self, unstored: Unstored, on_score: Callable[[], None]) -> None:
        for number, scores in list(unstored.verdicts.items()):
            self._study.add_scores(number, scores)
            del unstored.verdicts[number]
            on_score()
