"""The study as a searcher of Ray Tune's: ask is `suggest`, tell is `on_trial_complete`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ray.tune.result import AUTO_RESULT_KEYS
from ray.tune.search import Searcher

from search_spaces.errors import SpecificationError
from service.ray_tune.reports import KEYS, evaluation_of
from service.ray_tune.trial_errors import check_concerns_one, error_of, failed_by
from service.search import PreparedSearch, prepare_search
from service.search.helm import LOOK_EVERY_S
from service.search.session import open_session
from service.specification import restore_specification
from service.studies import AskedTrial, SearchStudy
from workers.evaluation import Evaluation


class StudySearcher(Searcher):  # type: ignore[misc]
    """Proposes the trials of a study, and tells it what became of them: everything is in Postgres, nothing here.

    Whatever dies, a new searcher over the same study goes on: finished trials count, what was running waits again with
    its parameters. A trial that Tune retries stays one trial of the study. The study is joined when the first trial is
    asked for, and left by `close`, which `StudyCallback` calls at the end of a run.

    Args:
        prepared: the search; `service.search.prepare_search` makes it of a specification.

    Raises:
        SpecificationError: what Tune cannot do is asked for.
    """

    def __init__(self, prepared: PreparedSearch) -> None:
        # Without a metric: Tune would end the whole run where a result lacks it.
        super().__init__()
        _check(prepared)
        self._prepared = prepared
        self._max_concurrent: int | None = None
        self._numbers: dict[str, int] = {}  # Tune's trial → the study's
        self._details: dict[str, Mapping[str, Any]] = {}
        self._tune_trials: Sequence[Any] = ()
        self._resources = ExitStack()
        self._opened: SearchStudy | None = None
        self._ask_at = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune keeps searchers in files: this one is its specification there, and reads models and sets again."""
        return _restored, (self._prepared.specification.model_dump(mode="json"),)

    @property
    def _study(self) -> SearchStudy:
        if self._opened is None:
            self._opened = self._resources.enter_context(open_session(self._prepared)).study
        return self._opened

    # ---- ask ----

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Tune's `max_concurrent_trials`: a trial is asked for when a worker is free, and knows all that is known."""
        self._max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as a config; "FINISHED" when the budget is spent, None while none may start."""
        if self._max_concurrent is not None and len(self._numbers) >= self._max_concurrent:
            return None
        if time.monotonic() < self._ask_at:
            return None
        if self._study.is_finished:
            return str(Searcher.FINISHED)
        trial = self._study.ask()
        if trial is None:
            self._wait_for_others()
            return None
        self._numbers[trial_id] = trial.number
        return _config(trial)

    def _wait_for_others(self) -> None:
        """The rest of the budget is under way; what runs elsewhere is taken up if its driver dies."""
        if not self._study.requeue_orphans():
            self._ask_at = time.monotonic() + LOOK_EVERY_S

    # ---- tell ----

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study what a trial came to: scores, or a failure with its reason.

        Raises:
            PoolError: the trial failed as every other would; the run ends, and the trial waits for the next.
        """
        if trial_id not in self._numbers:
            return
        details = self._details.pop(trial_id, {})
        reported = {**(result or {}), **details}
        evaluation = self._failure(trial_id) if error else evaluation_of(reported, self._prepared.objectives)
        self._study.tell(self._numbers[trial_id], evaluation)
        del self._numbers[trial_id]
        self._ask_at = 0.0

    def _failure(self, trial_id: str) -> Evaluation:
        error = error_of(self._tune_trials, trial_id)
        check_concerns_one(error)
        return failed_by(error)

    def keep(self, trial_id: str, details: Mapping[str, Any]) -> None:
        """Remember what was taken out of a trial's last result; see `take_details`."""
        self._details[trial_id] = details

    def watch(self, trials: Sequence[Any]) -> None:
        """Know Tune's trials, whose errors it does not tell a searcher."""
        self._tune_trials = trials

    # ---- what outlives a run ----

    def save(self, checkpoint_path: str) -> None:
        """Write which trials are under way; all else is in Postgres."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers))

    def restore(self, checkpoint_path: str) -> None:
        """Take back, before anything is asked for, the trials that a restored Tuner runs again.

        What the study has finished since keeps its result: Tune may run it again, and is not listened to.
        """
        self._numbers = json.loads(Path(checkpoint_path).read_text())
        for number in self._numbers.values():
            self._study.take_back(number)

    def close(self) -> None:
        """Leave the study; what was under way waits again, under its number and with its parameters."""
        self._resources.close()
        self._opened = None
        if self._numbers:
            self._numbers.clear()
            with open_session(self._prepared):  # takes up what nobody answers for
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _restored(specification: Mapping[str, Any]) -> StudySearcher:
    return StudySearcher(prepare_search(restore_specification(specification)))


def _config(trial: AskedTrial) -> dict[str, Any]:
    """What a trainable is given: some hundred bytes."""
    config = {"trial_number": trial.number, "landmark": trial.landmark, "params": dict(trial.params)}
    return config if trial.gradient is None else config | {"gradient": asdict(trial.gradient)}


def _check(prepared: PreparedSearch) -> None:
    if prepared.specification.search.racing:
        raise SpecificationError(
            "`search.racing` must be false under Ray Tune, whose schedulers stop candidates, but is true. "
            "Leave it out, or search by `paretomerge search`."
        )
    for name in prepared.objectives:
        if name in KEYS or name in AUTO_RESULT_KEYS:
            raise SpecificationError(
                f"`objectives.{name}` must not be called so under Ray Tune, whose results have a key of that name. "
                "Choose another name."
            )
