"""`paretomerge plan`: check a specification and say what its search will cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.consoles import amount, megabytes, print_json, results, seconds


def plan(
    specification: Annotated[Path, typer.Argument(help="The specification, a YAML file.")],
    measure: Annotated[bool, typer.Option(help="Make and score one candidate, to know its time.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check everything that a search needs, without searching; no database is used."""
    from service.search import prepare_search
    from service.search.cost_estimate import estimate_cost
    from service.specification import load_specification

    prepared = prepare_search(load_specification(specification))
    cost = estimate_cost(prepared, measure)
    if json:
        sampler, gradient_cost = prepared.choose_sampler()[0], prepared.gradient_cost
        name = prepared.specification.name
        print_json({"name": name, "sampler": sampler, "gradient_cost": gradient_cost, **cost.to_dict()})
        return
    for head, text in _lines(prepared, cost):
        results.print(f"[bold]{head:12}[/] {text}", soft_wrap=True)


def _lines(prepared: Any, cost: Any) -> list[tuple[str, str]]:
    space = prepared.space
    sampler, reason = prepared.choose_sampler()
    outside = [("outside", ", ".join(landmark.name for landmark in prepared.landmarks_outside))]
    return [
        ("models", ", ".join(f"{name} ({header.architecture})" for name, header in prepared.headers.items())),
        ("method", f"{space.options.method}, granularity {space.options.granularity}, {space.options.dtype}"),
        ("groups", f"{cost.n_groups}: {_shortened(list(space.groups))}"),
        ("dimensions", str(cost.n_dims)),
        ("sampler", f"{sampler}: {reason}"),
        *([("gradients", _gradients(prepared))] if prepared.gradient_cost else []),
        ("objectives", "; ".join(_objective(prepared, name) for name in prepared.objectives)),
        ("landmarks", ", ".join(prepared.encoded_landmarks) or "none"),
        *(outside if prepared.landmarks_outside else []),
        ("memory", _memory(cost)),
        ("sources", _sources(cost.memory, prepared.device)),
        *([("rankings", _rankings(cost.memory))] if cost.memory.ranking_bytes else []),
        *(("note", note) for note in prepared.notes),
        *(_times(prepared, cost) if cost.evaluation_s is not None else []),
    ]


def _shortened(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 8 else [*names[:4], "…", *names[-3:]])


def _objective(prepared: Any, name: str) -> str:
    measure = prepared.measures[name]
    return f"{name} ({measure.scorer}, {len(measure.examples)} examples)"


def _gradients(prepared: Any) -> str:
    evaluations, cost = prepared.specification.search.evaluations, prepared.gradient_cost
    followed = ", ".join(prepared.differentiable)
    others = ", ".join(name for name in prepared.objectives if name not in prepared.differentiable)
    return (
        f"of {followed}{f'; {others} follows where these lead' if others else ''}. A gradient costs {amount(cost)} "
        f"evaluations: up to {int(evaluations / cost + 1e-6)} trials of {evaluations} evaluations"
    )


def _memory(cost: Any) -> str:
    candidate, mapped = megabytes(cost.candidate_bytes), megabytes(cost.mapped_bytes)
    return f"{candidate} per worker for its candidate, beside {mapped} of checkpoints that a node's workers share"


def _sources(memory: Any, device: str) -> str:
    size = megabytes(memory.source_bytes)
    return {
        "mapped": f"mapped: {size}, read where the files' pages are",
        "resident": f"resident: {size} per worker on {device}, of {_cache(memory)}",
        "streamed": f"streamed: {size} copied to {device} for each candidate",
    }[memory.sources]


def _rankings(memory: Any) -> str:
    size = megabytes(memory.ranking_bytes)
    if memory.rankings == "memory":
        return f"{size} per worker, sorted once and kept in memory, of {_cache(memory)}"
    return f"{size}, sorted once and kept in files that a node's workers share: they do not fit into {_cache(memory)}"


def _cache(memory: Any) -> str:
    return f"{megabytes(memory.cache_bytes)} (`workers.cache_gib`)"


def _times(prepared: Any, cost: Any) -> list[tuple[str, str]]:
    evaluations, n_workers = prepared.specification.search.evaluations, prepared.specification.workers.count
    total_s = cost.search_s(evaluations, n_workers)
    return [
        ("candidate", f"{seconds(cost.make_s)} to make, {seconds(cost.score_s)} to score (measured here, once)"),
        (
            "search",
            f"{evaluations} evaluations on {n_workers} worker{'s'[: n_workers - 1]}: about {seconds(total_s)}, "
            f"after {seconds(cost.start_s)} to start",
        ),
    ]
