"""The generations of an evolutionary search, kept as its trials finish: Optuna looks through all of them each time."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from optuna.samplers import BaseGASampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers.trial_news import TrialNews

_by_number = attrgetter("number")
# Of a crossover; without them, a candidate is drawn at random.
_FEWEST_PARENTS = 2


class Generations:
    """The members of each generation of a study, and the parents of the last ones.

    Args:
        key: the system attribute that holds a trial's generation.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._news = TrialNews()
        self.members: dict[int, list[FrozenTrial]] = defaultdict(list)
        self.parents: dict[int, list[FrozenTrial]] = {}

    def read(self, study: Study) -> None:
        """Take in what is complete since."""
        for trial in self._news.read(study)[0]:
            if (generation := trial.system_attrs.get(self._key)) is not None:
                insort(self.members[generation], trial, key=_by_number)

    def next(self, population_size: int) -> int:
        """The generation of a new trial: the last one, or the one after it if that is full."""
        last = max(self.members, default=0)
        return last if len(self.members[last]) < population_size else last + 1

    def keep_parents(self, generation: int, parents: list[FrozenTrial]) -> None:
        """Of the generation, and of the one before, from which they are chosen."""
        self.parents = {number: known for number, known in self.parents.items() if number == generation - 1}
        self.parents[generation] = parents


class GenerationalSampler(BaseGASampler):
    """Optuna's bookkeeping of generations, with the same results and at a cost that does not grow with the trials.

    To be inherited from before one of Optuna's own samplers, whose attributes it reads and writes.

    Args:
        generations: study → its generations, shared by the samplers of all its trials; a copy of what trials say.
        options: of Optuna's sampler.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        optunas: Any = next(each for each in cls.__mro__ if each.__module__.startswith("optuna."))
        # By the name of Optuna's sampler, so that either may go on with a study of the other.
        cls._GENERATION_KEY = optunas._GENERATION_KEY
        cls._PARENT_CACHE_KEY_PREFIX = optunas._PARENT_CACHE_KEY_PREFIX

    def __init__(self, generations: WeakKeyDictionary[Study, Generations], **options: Any) -> None:
        super().__init__(**options)
        self._generations = generations

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """As Optuna's."""
        key = self._get_generation_key()
        if (known := trial.system_attrs.get(key)) is not None:
            return int(known)
        assert self.population_size is not None  # as given
        generation = self._known(study).next(self.population_size)
        study._storage.set_trial_system_attr(trial._trial_id, key, generation)
        return generation

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """As Optuna's."""
        return list(self._known(study).members[generation])

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """As Optuna's: those that the study names, or those that are chosen now and named there.

        What was chosen is read back from the study next time, where another driver may have been before this one.
        Trials that it has named, and finished since this one's look at the study, are left out until the next look.
        """
        known = self._known(study)
        if generation == 0 or generation in known.parents:
            return known.parents.get(generation, [])
        key = f"{self._get_parent_cache_key_prefix()}{generation}"
        named = study._storage.get_study_system_attrs(study._study_id).get(key)
        found = super().get_parent_population(study, generation)
        parents = [trial for trial in found if trial.state == TrialState.COMPLETE]
        if named is not None and len(parents) == len(named):
            known.keep_parents(generation, parents)
        return parents if len(parents) >= _FEWEST_PARENTS else []

    def _known(self, study: Study) -> Generations:
        if study not in self._generations:
            self._generations[study] = Generations(self._get_generation_key())
        self._generations[study].read(study)
        return self._generations[study]
