"""A worker that answers: one generator, guard or pool model resident at a time."""

from __future__ import annotations

from dataclasses import dataclass

from workers.candidate_worker import limit_threads
from workers.evaluation import Evaluation
from workers.inference_engines import GenerationOptions, ModelSource, Prompt, TextGenerator
from workers.inference_engines.opening import open_generator


@dataclass(frozen=True, slots=True)
class TextTask:
    """What a worker is asked to answer.

    Args:
        source: who answers.
        prompts: to whom.
        options: how.
    """

    source: ModelSource
    prompts: tuple[Prompt, ...]
    options: GenerationOptions


@dataclass(frozen=True, slots=True)
class TextWorkerSetup:
    """All that such a worker needs to start.

    Args:
        device: torch's name of where models are loaded.
        n_threads: of torch on the CPU; None leaves torch's own choice.
    """

    device: str = "cpu"
    n_threads: int | None = None

    @property
    def worker_class(self) -> type[TextWorker]:
        """What it sets up."""
        return TextWorker


class TextWorker:
    """Answers task after task; a model stays loaded until another one is asked for."""

    def __init__(self, setup: TextWorkerSetup) -> None:
        limit_threads(setup.n_threads)
        self._device = setup.device
        self._source: ModelSource | None = None
        self._generator: TextGenerator | None = None

    def evaluate(self, task: TextTask) -> Evaluation:
        """The answers to a task.

        Raises:
            CheckpointError: the source is a folder without a usable model.
            GenerationError: see `TextGenerator.generate`.
        """
        if self._generator is None or task.source != self._source:
            self._generator = None  # its memory is free before the next one is loaded
            self._source, self._generator = task.source, open_generator(task.source, self._device)
        return Evaluation(answers=tuple(self._generator.generate(task.prompts, task.options)))
