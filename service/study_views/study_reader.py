"""Brings the view of one study up to date: one small query, and the rows that are new."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from service.pareto import RunningDominance
from service.registry import SearchRegistry
from service.results import values_and_errors
from service.search.selection import front_of
from service.studies import FinishedTrial
from service.study_views.stored_rows import StudyHead, read_finished_trials, read_head, read_held_out
from service.study_views.study_view import StudyView


class StudyReader:
    """Reads one study again and again; used by one thread at a time.

    Finished trials never change, so that those whose ids are known are not read again. They are known by their ids,
    since trials finish in any order, and one that finished earlier may be seen later.

    Args:
        engine: over the service's database.
        searches: which know the searches that have no study yet.
        name: of search and study.
    """

    def __init__(self, engine: Engine, searches: SearchRegistry, name: str) -> None:
        self._engine = engine
        self._searches = searches
        self._name = name
        self._head: StudyHead | None = None
        self._view: StudyView | None = None
        self._marks = _Marks()

    def read(self) -> StudyView:
        """The study as it stands now; the same object as before if nothing has changed.

        Raises:
            MissingError: there is no such search.
        """
        # Each statement by itself: to begin and to end a transaction are round trips, and on a busy machine each of
        # these may wait for the processor.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            head = read_head(connection, self._name)
            view = None if head is None else self._grown(connection, head)
        self._view = view or self._empty(self._searches.get(self._name).specification)
        self._head = head
        return self._view

    def _empty(self, specification: Mapping[str, Any]) -> StudyView:
        objectives = tuple(specification["objectives"])
        known = self._view
        if known is not None and known.study_id is None and known.objectives == objectives:
            return known
        return self._begin(None, objectives, specification)

    def _begin(self, study_id: int | None, objectives: tuple[str, ...], specification: Mapping[str, Any]) -> StudyView:
        self._marks = _Marks()
        return StudyView(self._name, uuid.uuid4().hex[:12], 0, study_id, objectives, specification)

    def _grown(self, connection: Connection, head: StudyHead) -> StudyView:
        view, known = self._view, self._head
        if view is None or known is None or known.study_id != head.study_id or not known.finished <= head.finished:
            known, view = None, self._begin(head.study_id, head.objectives, head.specification)
        if known == head:
            return view
        changes: dict[str, Any] = {"version": view.version + 1}
        if known is None or known.attribute != head.attribute:
            changes["specification"] = head.specification
        if known is None or known.holdout != head.holdout:
            changes["held_out"] = read_held_out(connection, head.study_id)
        # Last: whatever the database refuses above leaves all that is kept here as it was.
        if new_ids := head.finished - (known.finished if known else frozenset()):
            changes |= self._with_trials(view, dict(read_finished_trials(connection, new_ids)))
        return replace(view, **changes)

    def _with_trials(self, view: StudyView, new: Mapping[int, FinishedTrial]) -> dict[str, Any]:
        trials = sorted((*view.trials, *new.values()), key=lambda trial: trial.number)
        return {
            "trials": tuple(trials),
            "arrivals": {**view.arrivals, **{trial.number: trial_id for trial_id, trial in new.items()}},
            # Whoever was dominated stays so.
            "front": tuple(front_of([*view.front, *new.values()])),
            "clearly_dominated": self._marks.add(list(new.values()), len(view.objectives)),
        }


class _Marks:
    """Who is clearly dominated, kept from one moment to the next: anew it would cost the square of the trials."""

    def __init__(self) -> None:
        self._dominance = RunningDominance()
        self._numbers = np.zeros(0, dtype=np.int64)

    def add(self, trials: list[FinishedTrial], n_objectives: int) -> frozenset[int]:
        succeeded = [trial for trial in trials if trial.succeeded]
        self._dominance.add(*values_and_errors(succeeded, n_objectives))
        self._numbers = np.append(self._numbers, [trial.number for trial in succeeded]).astype(np.int64)
        return frozenset(self._numbers[self._dominance.marked].tolist())
