"""The live view of a search: a line that stays, or a line now and then where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable

from service.cli.consoles import BarView, amount, messages, seconds
from service.search import SearchProgress

# Lines that a log gets of one search.
_N_LINES = 10


class ProgressView(BarView):
    """Evaluations done, hypervolume, best of each objective, rate and time left.

    Args:
        budget: evaluations in all.
        spent: those that are done already.
    """

    def __init__(self, budget: int, spent: float) -> None:
        self._every = max(1, budget // _N_LINES)
        self._n_told = spent // self._every
        self._said = ""
        super().__init__(budget, int(spent))

    def update(self, progress: SearchProgress) -> None:
        """Show where the search stands."""
        line = _line(progress)
        self._bar.update(self._task, completed=int(progress.spent), description=line)
        n_tenths = progress.spent // self._every
        if not messages.is_terminal and (n_tenths > self._n_told or progress.is_last):
            messages.print(f"{amount(progress.spent)}/{progress.budget}  {line}", soft_wrap=True)
        self._n_told = max(n_tenths, self._n_told)

    def update_all(self, steps: Iterable[SearchProgress]) -> None:
        """Show one after the other."""
        for progress in steps:
            self.update(progress)

    def say(self, message: str) -> None:
        """Show what a search waits for, once; "" says nothing."""
        if message and message != self._said:
            self._bar.update(self._task, description=message)
            if not messages.is_terminal:
                messages.print(message, soft_wrap=True)
        self._said = message


def _line(progress: SearchProgress) -> str:
    parts = [] if progress.hypervolume is None else [f"hypervolume {progress.hypervolume:.4f}"]
    parts += [f"best {name} {value:.3f}" for name, value in progress.best.items()]
    parts += [f"{progress.evaluations_per_s:.1f}/s"]
    if round(progress.spent, 2) != progress.n_finished:
        parts.append(f"{progress.n_finished} trials")
    if progress.saved_evaluations:
        parts.append(f"{progress.saved_evaluations:.1f} saved")
    if progress.n_failed:
        parts.append(f"{progress.n_failed} failed")
    if progress.left_s:
        parts.append(f"{seconds(progress.left_s)} left")
    return "  ".join(parts)
