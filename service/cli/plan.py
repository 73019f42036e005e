"""`paretomerge plan`: check a specification and say what its search will cost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from search_spaces.errors import SpecificationError
from service.cli.consoles import amount, megabytes, print_json, results, seconds


def plan(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    specification: Annotated[Path | None, typer.Argument(help="The specification, a YAML file.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="In its place, a model's config.json: no weights are needed.")
    ] = None,
    measure: Annotated[bool, typer.Option(help="Make and score one candidate, or merge a sample: seconds.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    experts: Annotated[int, typer.Option(help="Of the shape of --config.", min=1, max=100)] = 2,
    method: Annotated[str, typer.Option(help="A merge method.")] = "task_arithmetic",
    granularity: Annotated[str, typer.Option(help="model, blocks:N, layer, module or tensor.")] = "layer",
    dtype: Annotated[str, typer.Option(help="Of candidates.")] = "auto",
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    workers: Annotated[int, typer.Option(help="On one node.", min=1, max=10_000)] = 1,
    cpus: Annotated[int, typer.Option(help="Of each worker.", min=1, max=1024)] = 1,
    batch_tokens: Annotated[int, typer.Option(help="Of a batch.", min=1)] = 4096,
    cache_gib: Annotated[
        float | None, typer.Option(help="As in workers.cache_gib; by default 4, on a GPU what is left.", min=0)
    ] = None,
    gpu_gib: Annotated[float | None, typer.Option(help="Memory of a GPU; without, CPUs are planned.", min=1)] = None,
    node_gib: Annotated[
        float | None, typer.Option(help="Main memory of a node; by default, for CPUs, this machine's.", min=1)
    ] = None,
    bandwidth: Annotated[
        str, typer.Option(help="GB/s of another machine, such as device=3000,link=25; also memory and disk.")
    ] = "",
) -> None:
    """Check everything that a search needs, without searching; no database is used.

    With --config: what models of that shape will cost, however large they are.
    """
    if (specification is None) == (config is None):
        raise SpecificationError("`plan` needs either a specification or `--config config.json`.")
    if config is not None:
        from service.costs import Bandwidths, PlannedWorkers

        planned = PlannedWorkers(
            method=method,
            n_experts=experts,
            granularity=granularity,
            dtype=dtype,
            engine=engine,
            count=workers,
            n_threads=cpus,
            max_batch_tokens=batch_tokens,
            cache_gib=cache_gib,
            gpu_gib=gpu_gib,
            node_gib=node_gib or (_memory_gib() if gpu_gib is None else None),
        )
        _plan_config(config, planned, Bandwidths.parse(bandwidth), _Output(measure, json))
    elif specification is not None:
        _plan_search(specification, measure, json)


@dataclass(frozen=True, slots=True)
class _Output:
    """What is wanted: seconds, JSON."""

    measure: bool
    json: bool


def _memory_gib() -> float:
    """Of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _plan_config(config: Path, planned: Any, given: Any, output: _Output) -> None:
    from service.cli.model_plan_view import model_plan_lines
    from service.costs import Speeds, measure_speeds, plan_model
    from service.costs.advice import advice
    from service.costs.model_plan import candidate_dtype
    from workers.checkpoints.config_header import header_of_config

    header = header_of_config(config)
    found = plan_model(header, planned, Speeds(given))
    if output.measure:
        found = plan_model(header, planned, measure_speeds(header, planned, candidate_dtype(planned, header), given))
    if output.json:
        print_json(found.to_dict() | {"advice": advice(found, header)})
        return
    _print(model_plan_lines(found, advice(found, header)))


def _print(lines: Iterable[tuple[str, str]]) -> None:
    for head, text in lines:
        results.print(f"[bold]{head:12}[/] {text}", soft_wrap=True)


def _plan_search(specification: Path, measure: bool, json: bool) -> None:
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
    _print(_lines(prepared, cost))


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
