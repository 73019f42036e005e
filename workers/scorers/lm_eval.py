"""Named tasks of lm-evaluation-harness, run on the live candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from search_spaces.errors import SpecificationError
from workers.example_set import Example
from workers.scorers._base import Scorer, ScorerOptions
from workers.scorers.lm_eval_tasks import check_tasks, choose_metric, load_tasks, max_new_tokens, repeatable


@dataclass(frozen=True)
class LmEvalOptions(ScorerOptions):
    """Which tasks, and how.

    Args:
        tasks: names of tasks, groups or tags of lm-evaluation-harness; at least one.
        include_path: a folder of task YAMLs of one's own. They may run Python of that folder, as in lm-eval itself.
        limit: only so many examples of each task, the first; None takes all.
        num_fewshot: of every task that does not set 0 itself; None leaves the tasks' own.
        metric: of every task; "" takes each task's first that is a mean over the examples of which more is better.
            `metric,filter` names one of its filters, too, as in `exact_match,flexible-extract`; else its first counts.
        apply_chat_template: prompts go through the model's chat template, few-shot examples as turns of their own.
    """

    tasks: tuple[str, ...] = ()
    include_path: str = ""
    limit: int | None = None
    num_fewshot: int | None = None
    metric: str = ""
    apply_chat_template: bool = False

    def __post_init__(self) -> None:
        if not self.tasks or not all(self.tasks):
            raise SpecificationError(f"`tasks` must name at least one task, but got {list(self.tasks)}.")
        if self.limit is not None and self.limit < 1:
            raise SpecificationError(f"`limit` must be at least 1, but got {self.limit}.")
        if self.num_fewshot is not None and self.num_fewshot < 0:
            raise SpecificationError(f"`num_fewshot` must be at least 0, but got {self.num_fewshot}.")

    def seen_from(self, folder: Path) -> Self:
        """See `ScorerOptions.seen_from`."""
        return replace(self, include_path=str(folder / self.include_path)) if self.include_path else self

    def check(self) -> None:
        """Look for the tasks by their names; none is loaded.

        Raises:
            SpecificationError: `include_path` is no folder; or see `check_tasks`.
        """
        if self.include_path and not Path(self.include_path).is_dir():
            raise SpecificationError(
                f"`include_path` must be a folder of task YAMLs, but '{self.include_path}' is none."
            )
        check_tasks(self.tasks, self.include_path)


class LmEval(Scorer):
    """The mean of the tasks' metric over all their examples: of a task alone it is what lm-eval reports.

    Examples come in the order of the tasks and, within each, of its documents. Few-shot examples are those that
    lm-eval's command line would draw, the same for every candidate.
    """

    name = "lm_eval"
    required_fields = ()
    options_type = LmEvalOptions
    brings_examples = True

    def prepare(self, examples: Sequence[Example]) -> None:
        """Load the tasks; `examples` are not looked at.

        Raises:
            UserError: see `load_tasks`; or a task does not fit the model.
        """
        given: LmEvalOptions = self.options
        self.tasks = load_tasks(given.tasks, given.include_path, given.num_fewshot)
        self.metrics = {name: choose_metric(name, task, given.metric) for name, task in self.tasks.items()}
        for name, task in self.tasks.items():
            if max_new_tokens(task) >= self.engine.max_tokens:
                raise SpecificationError(
                    f"The task '{name}' lets a model write {max_new_tokens(task)} tokens, but this one takes "
                    f"{self.engine.max_tokens} in all. Lower `generation_kwargs.max_gen_toks` in a YAML of your own."
                )
        from workers.inference_engines.lm_eval_model import EngineLM

        self.model = EngineLM(self.engine)

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        from lm_eval.evaluator import evaluate  # type: ignore[import-untyped]

        with repeatable(self.tasks):
            found = evaluate(
                lm=self.model,
                task_dict={"tasks": dict(self.tasks)},
                limit=self.options.limit,
                log_samples=True,
                bootstrap_iters=0,
                apply_chat_template=self.options.apply_chat_template,
                # The default of lm-eval's command line.
                fewshot_as_multiturn=self.options.apply_chat_template,
            )
        return [score for name in self.tasks for score in self._scores(name, found["samples"][name])]

    def _scores(self, name: str, samples: Sequence[dict[str, Any]]) -> list[float]:
        metric, its_filter = self.metrics[name]
        # A task may give a metric for some of its documents only; lm-eval, too, takes the mean over those.
        return [float(s[metric]) for s in samples if s["filter"] == its_filter and metric in s]
