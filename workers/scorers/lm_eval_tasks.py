"""Tasks of lm-evaluation-harness: found by name, loaded, and fit to be scored example by example."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from search_spaces.errors import ExampleSetError, SpecificationError

# lm-eval's own, so that few-shot examples are those of its command line.
_SEED, _NUMPY_SEED, _FEWSHOT_SEED = 0, 1234, 1234
# What a task may say of generation; the rest matters only where answers are sampled.
_KNOWN_OF_GENERATION = {
    "until",
    "do_sample",
    "temperature",
    "max_gen_toks",
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
}


def check_tasks(names: tuple[str, ...], include_path: str) -> None:
    """Refuse names that are no task, group or tag; nothing is loaded.

    Raises:
        SpecificationError: there is none of that name, or lm-eval is not installed.
    """
    index = _task_manager(names, include_path).task_index
    for name in names:
        if name not in index:
            close = get_close_matches(name, index, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            place = f"lm-evaluation-harness or '{include_path}'" if include_path else "lm-evaluation-harness"
            raise SpecificationError(f"`tasks` must be tasks, groups or tags of {place}, but '{name}' is none.{hint}")


@lru_cache(maxsize=16)  # a worker scores several models on the same tasks
def load_tasks(names: tuple[str, ...], include_path: str, num_fewshot: int | None) -> Mapping[str, Any]:
    """Tasks with their data; groups and tags give all of theirs.

    Args:
        names: of tasks, groups or tags.
        include_path: a folder of task YAMLs, which go before lm-eval's own; "" for none.
        num_fewshot: see `LmEvalOptions`.

    Returns:
        Name → `lm_eval.api.task.Task`, in the order of `names`.

    Raises:
        SpecificationError: an unknown task, or one that cannot be run here.
        ExampleSetError: its data cannot be read.
    """
    check_tasks(names, include_path)
    found: dict[str, Any] = {}
    for name in names:
        for task_name, task in _loaded(name, _task_manager(names, include_path)).items():
            if task_name in found:
                raise SpecificationError(f"`tasks` must name a task once, but '{task_name}' comes twice.")
            _check_runnable(task_name, task)
            _set_num_fewshot(task, num_fewshot)
            found[task_name] = task
    return found


def choose_metric(name: str, task: Any, wanted: str) -> tuple[str, str]:
    """A task's metric and filter.

    Args:
        name: of the task.
        task: itself.
        wanted: `metric` or `metric,filter`; "" takes the first of both.

    Raises:
        SpecificationError: it has no such, or none that is a mean of which more is better.
    """
    from lm_eval.api.metrics import mean  # type: ignore[import-untyped]

    metric, _, its_filter = wanted.partition(",")
    better = task.higher_is_better()
    metrics = [known for known, how in task.aggregation().items() if how is mean and better.get(known)]
    filters = [entry["name"] for entry in task.get_config("filter_list") or []] or ["none"]
    if not metrics or (metric or metrics[0]) not in metrics:
        raise SpecificationError(
            f"`metric` must be a mean over the examples of which more is better, but {_said(metric)} of the task "
            f"'{name}' is none; such are: {', '.join(metrics) or 'none'}."
        )
    if (its_filter or filters[0]) not in filters:
        raise SpecificationError(
            f"`metric` may name a filter of the task '{name}', which are {', '.join(filters)}, but got '{its_filter}'."
        )
    return metric or metrics[0], its_filter or filters[0]


def max_new_tokens(task: Any) -> int:
    """How many tokens a task lets a model write; 0 if none."""
    from workers.inference_engines.lm_eval_model import generation_options

    if task.OUTPUT_TYPE != "generate_until":
        return 0
    return generation_options(task.get_config("generation_kwargs") or {}).max_new_tokens


@contextmanager
def repeatable(tasks: Mapping[str, Any]) -> Iterator[None]:
    """The same few-shot examples and the same shuffled choices each time, and no trace in anyone's random numbers.

    lm-eval draws them anew at every evaluation, from generators that go on from the last one.
    """
    import numpy as np

    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(_SEED)
    np.random.seed(_NUMPY_SEED)
    for task in tasks.values():
        task.set_fewshot_seed(seed=_FEWSHOT_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)


def _task_manager(names: tuple[str, ...], include_path: str) -> Any:
    """The folder's own tasks alone where they suffice: to read all of lm-eval's takes seconds."""
    if include_path:
        local = _index(include_path, False)
        # A group may hold tasks of lm-eval's.
        if all(name in local.task_index and name not in local.all_groups for name in names):
            return local
    return _index(include_path, True)


@lru_cache(maxsize=4)
def _index(include_path: str, include_defaults: bool) -> Any:
    try:
        import lm_eval.api.task  # type: ignore[import-untyped]
        from datasets import disable_progress_bars  # type: ignore[import-untyped]
        from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]
    except ImportError as error:
        raise SpecificationError(
            "The scorer 'lm_eval' needs lm-evaluation-harness, but it cannot be imported "
            f"({error}): pip install 'paretomerge[lm-eval]'."
        ) from None
    # A progress bar and a warning for every candidate would fill the terminal.
    disable_progress_bars()
    lm_eval.api.task.tqdm = lambda items, **_: items
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return TaskManager(include_path=include_path or None, include_defaults=include_defaults)


def _loaded(name: str, manager: Any) -> dict[str, Any]:
    try:
        tasks: dict[str, Any] = manager.load([name])["tasks"]
    except Exception as error:  # a library's edge: tasks are other people's YAML and Python, over data from anywhere
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ExampleSetError(
            f"The task '{name}' must load with its data, but: {reason} "
            "(offline, its data must lie in the cache of `datasets` or in local files)."
        ) from error
    return tasks


def _check_runnable(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise SpecificationError(f"No task may run code that a model writes, but '{name}' does. Leave it out.")
    if getattr(task, "MULTIMODAL", False):
        raise SpecificationError(f"A task must be of text alone, but '{name}' has images or sound. Leave it out.")
    generation = task.get_config("generation_kwargs") or {}
    unknown = sorted(generation.keys() - _KNOWN_OF_GENERATION)
    if unknown and generation.get("do_sample") and generation.get("temperature"):
        raise SpecificationError(
            f"A task may sample by `temperature` alone, but '{name}' also sets `{unknown[0]}`. Leave it out."
        )


def _set_num_fewshot(task: Any, given: int | None) -> None:
    """As lm-eval does: a task that says 0 itself keeps it."""
    own = task.get_config("num_fewshot")
    if own is None or (given is not None and own != 0):
        task.set_config(key="num_fewshot", value=given or 0)


def _said(metric: str) -> str:
    return f"'{metric}'" if metric else "the first"
