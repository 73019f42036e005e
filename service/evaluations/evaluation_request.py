"""What is to be measured; all that can be wrong with it is found before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import SpecificationError
from service.evaluations.safety_set import SafetyPrompt, read_safety_set
from service.exports.provenance import file_digest
from workers.candidate_worker import Measure
from workers.example_set import Example
from workers.scorers.guard import GuardOptions
from workers.scorers.lm_eval import LmEvalOptions
from workers.scorers.lm_eval_tasks import choose_metric, load_tasks

# What tells safe answers, by the scorer's name.
REFUSAL, GUARD = "refusal", "guard"


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to measure: tasks of lm-evaluation-harness, a safety set, or both.

    Args:
        tasks: names of tasks, groups or tags.
        include_path: a folder of task YAMLs; None for lm-eval's own alone.
        limit: only so many examples of each task.
        num_fewshot: of every task that does not set 0 itself.
        apply_chat_template: the tasks' prompts go through the models' chat templates. Unsafe prompts always do.
        safety: a safety set; see `read_safety_set`.
        guard: the folder of a Llama Guard, which judges the answers to it.
    """

    tasks: tuple[str, ...] = ()
    include_path: Path | None = None
    limit: int | None = None
    num_fewshot: int | None = None
    apply_chat_template: bool = False
    safety: Path | None = None
    guard: Path | None = None

    def __post_init__(self) -> None:
        if not self.tasks and self.safety is None:
            raise SpecificationError("An evaluation needs `--tasks`, a `--safety` set, or both, but got neither.")
        if self.guard is not None and self.safety is None:
            raise SpecificationError(
                f"`--guard` judges answers to a `--safety` set, but got '{self.guard}' without one."
            )
        # A task of these names would stand in the report where the safety set's scores do.
        twice = [task for i, task in enumerate(self.tasks) if task in (REFUSAL, GUARD, *self.tasks[:i])]
        if twice:
            raise SpecificationError(
                f"`--tasks` must name each task once, and none '{REFUSAL}' or '{GUARD}', but got '{twice[0]}'."
            )


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task as it was run.

    Args:
        name: of the task; several may belong to one that was asked for, which is a group or tag.
        asked_for: as which it was asked for.
        version: the task's own.
        metric: the one that is reported, with its filter.
        num_fewshot: examples before each question.
    """

    name: str
    asked_for: str
    version: str
    metric: str
    num_fewshot: int


@dataclass(frozen=True, slots=True)
class PreparedEvaluation:
    """What is measured, checked.

    Args:
        request: as given.
        measures: task as asked for, `refusal`, `guard` → scorer with its examples.
        tasks: that are run.
        prompts: of the safety set.
        safety_digest: its SHA-256; "" without one.
    """

    request: EvaluationRequest
    measures: Mapping[str, Measure]
    tasks: tuple[TaskRun, ...]
    prompts: tuple[SafetyPrompt, ...]
    safety_digest: str

    @property
    def safety_measures(self) -> tuple[str, ...]:
        """Those on the safety set."""
        return tuple(name for name in self.measures if name in (REFUSAL, GUARD) and self.prompts)


def prepare_evaluation(request: EvaluationRequest) -> PreparedEvaluation:
    """Load the tasks and read the safety set; no model is loaded.

    Raises:
        UserError: an unknown task, a malformed set, a folder that holds no guard, or lm-eval is not installed.
    """
    options = {task: _task_options(request, task) for task in request.tasks}
    tasks = tuple(run for task, its in options.items() for run in _task_runs(task, its))
    measures = {task: Measure("lm_eval", (), its) for task, its in options.items()}
    prompts = read_safety_set(request.safety) if request.safety is not None else ()
    digest = file_digest(request.safety) if request.safety is not None else ""
    return PreparedEvaluation(request, measures | _safety_measures(request, prompts), tasks, prompts, digest)


def _task_options(request: EvaluationRequest, task: str) -> LmEvalOptions:
    options = LmEvalOptions(
        tasks=(task,),
        include_path=str(request.include_path.absolute()) if request.include_path else "",
        limit=request.limit,
        num_fewshot=request.num_fewshot,
        apply_chat_template=request.apply_chat_template,
    )
    options.check()
    return options


def _task_runs(asked_for: str, options: LmEvalOptions) -> list[TaskRun]:
    return [
        TaskRun(
            name=name,
            asked_for=asked_for,
            version=str(task.VERSION),
            metric=",".join(part for part in choose_metric(name, task, "") if part != "none"),
            num_fewshot=int(task.get_config("num_fewshot")),
        )
        for name, task in load_tasks(options.tasks, options.include_path, options.num_fewshot).items()
    ]


def _safety_measures(request: EvaluationRequest, prompts: tuple[SafetyPrompt, ...]) -> dict[str, Measure]:
    if not prompts:
        return {}
    examples = tuple(Example(prompt.prompt) for prompt in prompts)
    found = {REFUSAL: Measure(REFUSAL, examples)}
    if request.guard is not None:
        options = GuardOptions(guard={"llama_guard": str(request.guard.absolute())})
        options.check()
        found[GUARD] = Measure(GUARD, examples, options)
    return found
