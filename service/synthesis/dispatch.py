"""Questions out to the workers, answers back; what was answered once is not asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from search_spaces.errors import GenerationError
from workers.inference_engines import GenerationOptions, ModelSource, Prompt
from workers.inference_engines.reply_cache import ReplyCache, identity_of, question_key
from workers.text_worker import TextTask
from workers.worker_pools import WorkerPool

# Prompts that travel together: enough for a batch, few enough that little is lost with a worker.
_PROMPTS_PER_TASK = 32


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Where a stage stands.

    Args:
        stage: what is being done, for a person.
        n_done: answers that are there.
        n_asked: answers that there will be.
    """

    stage: str
    n_done: int
    n_asked: int


class Dispatcher:
    """Asks models by way of a pool, one model after the other, so that each worker loads each of them once.

    Args:
        pool: of text workers.
        replies: where answers are kept; an interrupted synthesis goes on from there.
        on_progress: called whenever answers come in.
    """

    def __init__(
        self, pool: WorkerPool, replies: ReplyCache, on_progress: Callable[[StageProgress], None] = lambda _: None
    ) -> None:
        self._pool = pool
        self._replies = replies
        self._on_progress = on_progress
        self.n_remembered = 0

    def ask(self, source: ModelSource, prompts: Sequence[Prompt], options: GenerationOptions, stage: str) -> list[str]:
        """Every prompt's answer, in order.

        Args:
            source: who answers.
            prompts: to whom.
            options: how; each task of some prompts gets a seed of its own.
            stage: what this is for.

        Raises:
            GenerationError: no answers can be had; those that came are kept.
        """
        tasks = dict(enumerate(_tasks(source, prompts, options)))
        answers: dict[int, tuple[str, ...]] = {}
        waiting = []
        for number, task in tasks.items():
            kept = self._replies.get(self._key(task))
            if kept is None:
                waiting.append(number)
            else:
                answers[number] = kept
                self.n_remembered += len(kept)
        self._tell(stage, answers, len(prompts))
        while waiting or self._pool.n_under_way:
            while waiting and self._pool.has_free_worker:
                number = waiting.pop(0)
                self._pool.submit(number, tasks[number])
            number, answers[number] = self._collect()
            self._replies.put(self._key(tasks[number]), answers[number])
            self._tell(stage, answers, len(prompts))
        return [answer for number in tasks for answer in answers[number]]

    def _collect(self) -> tuple[int, tuple[str, ...]]:
        finished = self._pool.next_finished()
        assert finished is not None  # something is under way, and every ticket comes back
        number, evaluation = finished
        if not evaluation.succeeded:
            raise GenerationError(f"Questions must be answered, but {evaluation.failure}: {evaluation.message}")
        return number, evaluation.answers

    def _tell(self, stage: str, answers: dict[int, tuple[str, ...]], n_asked: int) -> None:
        self._on_progress(StageProgress(stage, sum(map(len, answers.values())), n_asked))

    def _key(self, task: TextTask) -> str:
        return question_key(identity_of(task.source), task.prompts, task.options)


def _tasks(source: ModelSource, prompts: Sequence[Prompt], options: GenerationOptions) -> Iterator[TextTask]:
    for start in range(0, len(prompts), _PROMPTS_PER_TASK):
        part = tuple(prompts[start : start + _PROMPTS_PER_TASK])
        yield TextTask(source, part, replace(options, seed=seed_of(options, start)))


def seed_of(options: GenerationOptions, position: int) -> int:
    """The seed of the task to which the prompt at a position belongs; greedy answers depend on none."""
    return options.seed + position - position % _PROMPTS_PER_TASK if options.temperature else 0
