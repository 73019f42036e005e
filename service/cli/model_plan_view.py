"""A plan from a configuration, line by line."""

from __future__ import annotations

from typing import Any

from service.cli.consoles import megabytes, seconds

# What a part of a candidate's time waits for, in words.
_WAITS = {
    "merging": "the method's own loops, as measured here",
    "memory": "main memory",
    "device": "the GPU's memory",
    "link": "the link to the GPU",
    "launches": "launches of operations",
    "disk": "the disk",
}


def model_plan_lines(plan: Any, advice: list[str]) -> list[tuple[str, str]]:
    """Heads and texts."""
    from service.costs.model_plan import resident_gib

    planned, memory = plan.planned, plan.memory
    return [
        ("model", f"{plan.architecture}, {plan.n_parameters / 1e9:.2f} B parameters"),
        ("method", f"{planned.method} of {planned.n_experts} experts, candidates in {plan.dtype}"),
        (
            "dimensions",
            "; ".join(f"{name} {dims} ({groups} groups)" for name, (groups, dims) in plan.dimensions.items()),
        ),
        ("checkpoints", f"{megabytes(plan.checkpoint_bytes)} on disk, pages that a node's workers share"),
        ("candidate", megabytes(memory.candidate_bytes)),
        ("sources", _sources(memory.kept, resident_gib(plan))),
        *([("rankings", _rankings(memory))] if memory.kept.ranking_bytes else []),
        ("scoring", _scoring(memory.scoring, planned)),
        ("worker", f"{megabytes(memory.host_bytes)} of main memory of its own"),
        *([("gpus", _gpus(plan))] if plan.gpus else []),
        ("node", f"{planned.count} worker{'s'[: planned.count - 1]}, with pages {megabytes(plan.node_bytes)}"),
        *_times(plan),
        *(("advice", text) for text in advice),
    ]


def _sources(kept: Any, needed: int) -> str:
    size = megabytes(kept.source_bytes)
    return {
        "mapped": f"mapped: {size}, read where the files' pages are",
        "resident": f"resident: {size} on the GPU, with `workers.cache_gib: {needed}` or more",
        "streamed": f"streamed: {size} copied to the GPU for each candidate",
    }[kept.sources]


def _rankings(memory: Any) -> str:
    place = "in files that a node's workers share" if memory.kept.rankings == "files" else "in each worker's memory"
    return f"{megabytes(memory.kept.ranking_bytes)} {place}; sorting them takes {megabytes(memory.sorting_bytes)} once"


def _scoring(scoring: Any, planned: Any) -> str:
    return (
        f"at most {megabytes(scoring.total_bytes)} for {planned.max_batch_tokens} tokens: logits "
        f"{megabytes(scoring.logits_bytes)}, or keys and values {megabytes(scoring.kv_bytes)}; a layer "
        f"{megabytes(scoring.layer_bytes)}"
    )


def _gpus(plan: Any) -> str:
    gpus = plan.gpus
    verdict = "" if gpus.fits else ", which is too much"
    size = f"{megabytes(gpus.memory.device_bytes)} of {plan.planned.gpu_gib:g} GiB each"
    return f"{gpus.n_gpus} per worker, {size}{verdict}"


def _times(plan: Any) -> list[tuple[str, str]]:
    if plan.time.make_s is None:
        return []
    parts = ", ".join(f"{_WAITS[name]} {seconds(value)}" for name, value in plan.time.parts.items() if value)
    first = f", the first one {seconds(plan.first_s)} more to sort" if plan.first_s else ""
    return [("make", f"{seconds(plan.time.make_s)} a candidate{first} (at the same time: {parts})")]
