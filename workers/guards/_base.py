"""The contract of a guard: a conversation to be judged out, a reply in, a `Verdict`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from search_spaces.errors import GenerationError, SpecificationError
from workers.inference_engines import Conversation, GenerationOptions, Message, ModelSource


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says of an answer.

    Args:
        is_safe: whether it may be given.
        categories: of the harm, in the guard's own words; none where it names none.
        text: the reply as it came.
        is_clear: False for a reply that says neither; such an answer counts as not called safe.
    """

    is_safe: bool
    categories: tuple[str, ...] = ()
    text: str = ""
    is_clear: bool = True


class Guard(ABC):
    """Judges answers. Asking its model and reading the reply are separate, so that any engine or worker may be asked.

    Members are frozen dataclasses: they travel to other processes.

    Class attributes:
        name: in a specification.
        options: how its model is asked.
        tells_refusals: `is_safe` says that an answer refuses, so that an answer to a harmless prompt may lack it.

    Attributes:
        source: who is asked; None: nobody, the answer alone tells.
    """

    name: ClassVar[str]
    options: ClassVar[GenerationOptions]
    tells_refusals: ClassVar[bool]
    source: ModelSource | None

    @classmethod
    @abstractmethod
    def read(cls, source: Any, more: Mapping[str, Any], key: str) -> Self:
        """The guard that a specification's words mean.

        Args:
            source: what stands under the guard's name.
            more: what stands beside it.
            key: where they stand, for errors.

        Raises:
            SpecificationError: they mean none.
        """

    @property
    @abstractmethod
    def words(self) -> str | dict[str, Any]:
        """The JSON value that `guard_from` reads back as this guard."""

    @abstractmethod
    def seen_from(self, folder: Path) -> Self:
        """The same with an absolute path, where it has one."""

    @abstractmethod
    def check(self) -> None:
        """Look at what it needs on the disk: cheap, without torch, so that nothing long runs in vain.

        Raises:
            CheckpointError: its model cannot do what is asked of it.
        """

    def conversation(self, prompt: str, answer: str) -> Conversation:
        """What the source is asked: the exchange itself, which its chat template turns into a question."""
        return Message("user", prompt), Message("assistant", answer)

    @abstractmethod
    def verdict(self, answer: str, reply: str) -> Verdict:
        """What the source's reply means for an answer; pure.

        Args:
            answer: that was judged.
            reply: of the source; "" where there is none.

        Raises:
            GenerationError: the reply says neither.
        """

    def verdicts(self, answers: Sequence[str], replies: Sequence[str]) -> list[Verdict]:
        """The verdict on each answer; a reply now and then that says neither is told by `Verdict.is_clear`.

        Raises:
            GenerationError: no reply says either: it is no guard, or is asked in another one's words.
        """
        found = []
        unclear: GenerationError | None = None
        for answer, reply in zip(answers, replies, strict=True):
            try:
                found.append(self.verdict(answer, reply))
            except GenerationError as error:
                unclear = error
                found.append(Verdict(is_safe=False, text=reply, is_clear=False))
        if unclear is not None and not any(verdict.is_clear for verdict in found):
            raise unclear
        return found


def words_of(source: ModelSource) -> str | dict[str, Any]:
    """The JSON value that `ModelSource.of` reads back as this source."""
    return asdict(source) if source.endpoint else source.model


def refuse_unknown(guard: str, more: Mapping[str, Any], known: tuple[str, ...], key: str) -> None:
    """Refuse what a guard does not take.

    Raises:
        SpecificationError: naming the first such key.
    """
    unknown = sorted(map(str, more.keys() - set(known)))
    if unknown:
        takes = f"beside its model takes {', '.join(known)}" if known else "takes nothing beside its model"
        raise SpecificationError(f"`{key}.{unknown[0]}` is not an option of the guard '{guard}', which {takes}.")
