"""What a run at scale says, beside what is promised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.scale.driver_run import DriverRun, Scale
from benchmarks.scale.durations import Durations
from benchmarks.scale.growth import PARTS, growth
from benchmarks.scale.postgres_cost import ServerCost
from benchmarks.scale.utilisation import utilisation

# Of the workers' time, as long as there is work for all, at `PROMISED_AT_S` per evaluation.
PROMISED_UTILISATION = 0.95
PROMISED_AT_S = 5
# CPU per trial, the last tenth beside the first.
PROMISED_GROWTH = 1.5


def lines(scale: Scale, runs: Sequence[DriverRun], before: ServerCost, after: ServerCost) -> Iterator[str]:
    """The report."""
    n_trials = sum(len(run.clock.told_cpu_s) for run in runs)
    started = min(run.started_s for run in runs)
    wall_s = max(run.started_s + run.wall_s for run in runs) - started
    yield (
        f"{n_trials} trials, {scale.workers} workers, {scale.drivers} driver{'s' * (scale.drivers > 1)}, "
        f"{scale.seconds} s per evaluation, {runs[0].n_dims} dimensions, sampler {runs[0].sampler}, "
        f"{scale.examples} examples per objective: {wall_s:.1f} s"
    )
    used = utilisation([shift for run in runs for shift in run.shifts], scale.workers)
    mean_s = Durations(scale.seconds).mean_s
    if mean_s > 0:
        yield (
            f"utilisation  {used.filled:.1%} as long as there is work for all; {used.whole:.1%} until the last is over "
            f"(at best {used.ideal:.1%}: towards the end workers run out of work)"
        )
    yield f"rate         {n_trials / wall_s:.1f} asks and as many tells per second"
    for index, run in enumerate(runs, 1):
        yield from _of_driver(index, run)
    yield _of_server(before, after, n_trials)
    if mean_s >= PROMISED_AT_S:
        yield from _verdicts(used.filled, runs)


def _of_driver(index: int, run: DriverRun) -> Iterator[str]:
    n_trials = len(run.clock.told_cpu_s)
    costs = run.costs_ms
    yield f"driver {index}     {n_trials} trials; {run.busy_ms:.1f} ms per trial when it does not wait for evaluations"
    yield f"  CPU ms per trial, by tenths of the run: {'  '.join(f'{cost:.1f}' for cost in costs)}"
    yield f"  law        {growth(costs, n_trials / PARTS)}"
    stages = _stages(run)
    yield "  stages     CPU ms per trial (wall): " + ", ".join(
        f"{name} {cpu / n_trials * 1e3:.2f} ({wall / n_trials * 1e3:.2f})" for name, (cpu, wall) in stages.items()
    )
    yield f"  memory     {run.rss_mib:.0f} MiB"


def _stages(run: DriverRun) -> dict[str, tuple[float, float]]:
    """Name → CPU and wall seconds; the sampler works within the ask, and the rest is recipes, pool and loop."""
    cpu, wall = run.clock.cpu_s, run.clock.wall_s
    outer = ("ask", "tell", "progress")
    return {
        "sampler": (cpu["sampler"], wall["sampler"]),
        "ask but for it": (cpu["ask"] - cpu["sampler"], wall["ask"] - wall["sampler"]),
        "tell": (cpu["tell"], wall["tell"]),
        "progress": (cpu["progress"], wall["progress"]),
        "rest": (
            run.cpu_s - sum(cpu[name] for name in outer),
            run.wall_s - run.waited_s - sum(wall[name] for name in outer),
        ),
    }


def _of_server(before: ServerCost, after: ServerCost, n_trials: int) -> str:
    grown = after.size_mib - before.size_mib
    size = f"{grown:.0f} MiB more on disk, {grown / n_trials * 1024:.1f} KiB per trial"
    if before.cpu_s is None or after.cpu_s is None:
        return f"Postgres     {size}"
    return f"Postgres     {(after.cpu_s - before.cpu_s) / n_trials * 1e3:.1f} ms of CPU per trial; {size}"


def _verdicts(filled: float, runs: Sequence[DriverRun]) -> Iterator[str]:
    yield f"{_verdict(filled >= PROMISED_UTILISATION)}: utilisation {filled:.1%}, promised {PROMISED_UTILISATION:.0%}"
    for run in runs:
        grown = run.costs_ms[-1] / run.costs_ms[0]
        yield (
            f"{_verdict(grown <= PROMISED_GROWTH)}: CPU per trial in the last tenth {grown:.2f} times that in the "
            f"first, promised at most {PROMISED_GROWTH}"
        )


def _verdict(is_kept: bool) -> str:
    return "kept" if is_kept else "missed"


def ceiling_lines(scale: Scale, runs: Sequence[DriverRun]) -> Iterator[str]:
    """Below how many seconds per evaluation the drivers cannot keep the workers busy."""
    rate = sum(1e3 / run.busy_ms for run in runs)
    least_s = PROMISED_UTILISATION * scale.workers / rate
    yield (
        f"ceiling      {rate:.1f} trials/s when no evaluation takes any time: {scale.workers} workers are busy to "
        f"{PROMISED_UTILISATION:.0%} from {least_s:.2f} s per evaluation on"
    )
