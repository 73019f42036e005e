"""A synthesis: sets made from the models themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import SynthesisError
from service.synthesis.benign_set import BenignSynthesis
from service.synthesis.data_card import write_card
from service.synthesis.dispatch import Dispatcher, StageProgress
from service.synthesis.domain_set import DomainSynthesis
from service.synthesis.question_writer import told
from service.synthesis.rows import SynthesizedSet, write_rows
from service.synthesis.safety_set import SafetySynthesis
from service.synthesis.settings import SynthesisSettings
from workers.inference_engines.reply_cache import ReplyCache
from workers.worker_pools import WorkerPool

# Beside the sets: an interrupted synthesis goes on from it.
_REPLIES = ".replies"


@dataclass(frozen=True, slots=True)
class Synthesized:
    """What a synthesis made.

    Args:
        sets: in the order of their making.
        files: set's name → where it lies.
        card: where the data card lies.
        n_remembered: answers that were there from an earlier run.
    """

    sets: tuple[SynthesizedSet, ...]
    files: dict[str, Path]
    card: Path
    n_remembered: int


class Synthesis:
    """Makes the sets that its settings ask for.

    Args:
        settings: checked.
        pool: of text workers.
        on_progress: called whenever answers come in.
    """

    def __init__(
        self,
        settings: SynthesisSettings,
        pool: WorkerPool,
        on_progress: Callable[[StageProgress], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._dispatcher = Dispatcher(pool, ReplyCache(settings.folder / _REPLIES), on_progress)

    def run(self) -> Synthesized:
        """Ask, answer, judge, split, write. What was answered in an earlier run is not asked again.

        Raises:
            SynthesisError: too few usable questions, or nobody who refuses.
            GenerationError: a model gives no answers; those that came are kept.
        """
        settings = self._settings
        made = tuple(synthesis.run().split(settings.holdout, settings.seed) for synthesis in self._members())
        for each in made:
            check_enough(each)
        settings.folder.mkdir(parents=True, exist_ok=True)
        files = {each.name: settings.folder / f"{each.name}.jsonl" for each in made}
        for each in made:
            write_rows(each.rows, files[each.name])
        card = write_card(settings, made)
        return Synthesized(made, files, card, self._dispatcher.n_remembered)

    def _members(self) -> list[SafetySynthesis | DomainSynthesis | BenignSynthesis]:
        settings, dispatcher = self._settings, self._dispatcher
        members: list[SafetySynthesis | DomainSynthesis | BenignSynthesis] = []
        if settings.safety:
            members.append(SafetySynthesis(settings, settings.safety, dispatcher))
        if settings.domain:
            members.append(DomainSynthesis(settings, settings.domain, dispatcher))
        if settings.benign:
            members.append(BenignSynthesis(settings, settings.benign, dispatcher))
        return members


def check_enough(made: SynthesizedSet) -> None:
    """Refuse a set of which nothing came, or that is short for want of readable replies.

    Raises:
        SynthesisError: with what became of the replies.
    """
    asked, unparsable = made.counts["asked"], made.counts["unparsable"]
    if len(made.rows) >= made.wanted or (made.rows and unparsable <= asked / 2):
        return
    raise SynthesisError(
        f"The {made.name} set must hold {made.wanted} rows, but only {len(made.rows)} came of {asked} questions asked: "
        f"{told(made.counts)}. Raise `synthesis.{made.name}.attempts`, choose another generator, or ask otherwise by "
        f"`synthesis.{made.name}.prompt`."
    )
