"""Trainables for tests of Ray Tune, where its workers can import them."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from service.ray_tune import MergeTrainable

# Trial of the study → what goes wrong with it.
NAN, MISSING, RAISES, KILLED = range(4)


class FaultyTrainable(Trainable):  # type: ignore[misc]
    """Loads nothing, and has every fault; its config says in which folder it remembers that it was killed."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._number: int = new_config["trial_number"]
        self._folder = Path(new_config["folder"])
        return True

    def step(self) -> dict[str, Any]:
        if self._number == RAISES:
            raise ValueError("The disk is on fire.")
        if self._number == KILLED and not (mark := self._folder / "was-killed").exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        result = {"alignment": 0.5, "expertise": math.nan if self._number == NAN else 0.5, "done": True}
        if self._number == MISSING:
            del result["alignment"]
        return result


class CountingTrainable(MergeTrainable):
    """Reports how often models were loaded in its process."""

    n_loaded = 0

    def setup(self, config: dict[str, Any], *arguments: Any, **parameters: Any) -> None:
        type(self).n_loaded += 1
        super().setup(config, *arguments, **parameters)

    def step(self) -> dict[str, Any]:
        return super().step() | {"n_loaded": self.n_loaded}
