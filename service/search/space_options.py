"""A specification's space as options of `SearchSpace`."""

from __future__ import annotations

from search_spaces import BoundsRule, SpaceOptions
from service.specification import Specification
from service.specification.schema import SpaceSection
from workers.checkpoints.header import CheckpointHeader


def space_options(specification: Specification, base: CheckpointHeader) -> SpaceOptions:
    """The options of a search's space.

    Args:
        specification: of the search.
        base: the header of its base model.
    """
    space = specification.space
    return SpaceOptions(
        method=space.method,
        granularity=space.granularity,
        rules=bounds_rules(space),
        normalize=space.normalize,
        task_vectors=space.task_vectors,
        seed=specification.search.seed,
        dtype=_dtype(specification, base),
        tokenizer_source=specification.models.tokenizer,
    )


def bounds_rules(space: SpaceSection) -> tuple[BoundsRule, ...]:
    """The bounds of a specification, from the general to the special."""
    rules = [BoundsRule(rule.bounds_given, rule.expert, rule.filter) for rule in space.bounds]
    return (BoundsRule(space.bounds_given), *rules)


def _dtype(specification: Specification, base: CheckpointHeader) -> str:
    """On a CPU float32, which is faster there than 16 bits; on a GPU the checkpoint's own."""
    if specification.workers.dtype != "auto":
        return specification.workers.dtype
    if not specification.workers.gpus_per_worker:
        return "float32"
    given = str(base.config.get("dtype") or base.config.get("torch_dtype") or "bfloat16")
    return given if given in ("float32", "float16") else "bfloat16"
