"""Run the cells that are missing, then print and draw what all of them say.

Every sampler gets the same landmarks first and the same budget, in evaluation-equivalents: a plain trial costs 1, one
with gradients over a share of each set 1 + 2 x share. The regret of a run is the hypervolume that all runs on the same
family and granularity have found together, less its own; given is the median over the seeds, with quartiles.

On held-out examples each run's front is judged by what its merges do, 0 or 1 for each example: its points' shares of
refusals and of exact answers have a hypervolume above (0, 0), at best 1. The best points are chosen on the examples
that judge them, which flatters a front, and a longer one more: at most so many points of each are judged, the same
number for all samplers, spread over the front. Two samplers are compared by a paired bootstrap, with the same examples
and seeds drawn for both; p is two-sided and not corrected for the number of samplers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.method_fronts import TRIO_SETS
from benchmarks.search.cells import Cell, Plan, fill
from benchmarks.search.families import BUNDLED, Family
from benchmarks.search.plot import write_plot
from benchmarks.search.regret import Run, compare
from benchmarks.search.report import Comparisons, Verdicts, told
from benchmarks.search.run_front import MAX_POINTS
from benchmarks.search.verdict import judge_missing, judged_fronts
from service.samplers import SAMPLERS

# Those that are affordable at 200 evaluations; `gp` takes seconds for each.
QUICK_SAMPLERS = ("grid", "map", "nsga2", "tpe", "cmaes_sweep", "gradient")
SAMPLERS_OF = {"quick": QUICK_SAMPLERS, "full": ("random", "cmaes", *QUICK_SAMPLERS)}
TINY_GRANULARITIES = {"quick": ("layer", "module"), "full": ("layer", "module", "tensor")}
HARD_GRANULARITIES, REAL_GRANULARITIES = ("layer", "tensor"), ("layer",)
# Of each set: half of the bundled ones, so that the quick form takes minutes.
QUICK_EXAMPLES = 48


def plans_of(options: argparse.Namespace) -> list[Plan]:
    """The bundled family, and those whose folders were given."""
    form, given = ("full" if options.full else "quick"), options.granularities
    tiny = Family("tiny", BUNDLED, BUNDLED)
    tiny = tiny if options.full else tiny.with_fewer(QUICK_EXAMPLES, options.results)
    found = [Plan(tiny, given or TINY_GRANULARITIES[form], options.seeds, options.budget)]
    if options.hard:
        hard = options.hard.resolve()
        found.append(Plan(Family("hard", hard, hard), given or HARD_GRANULARITIES, options.seeds, options.budget))
    if options.real:
        real = Family("real", options.real.resolve(), TRIO_SETS).with_fewer(options.real_examples, options.results)
        found.append(Plan(real, given or REAL_GRANULARITIES, options.real_seeds, options.real_budget))
    return [plan for plan in found if options.families is None or plan.family.name in options.families]


def compared(cells: Sequence[Cell], results: Path) -> Comparisons:
    """The cells whose budget is spent, by family and granularity."""
    runs: dict[tuple[str, str], dict[str, list[Run]]] = {}
    budgets: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell.is_whole(results):
            key = (cell.family.name, cell.granularity)
            budgets[key] = cell.budget
            runs.setdefault(key, {}).setdefault(cell.sampler, []).append(cell.records(results))
    return {key: compare(samplers, budgets[key]) for key, samplers in runs.items()}


def say_each(done: Iterable[Cell], what: str) -> None:
    """Say how far it is."""
    started = time.perf_counter()
    for number, cell in enumerate(done, start=1):
        print(f"{what} {number}: {cell}, {time.perf_counter() - started:.0f} s", flush=True)


def write_report(comparisons: Comparisons, verdicts: Verdicts, options: argparse.Namespace) -> None:
    """Print the tables; write them with the plot beside them, if asked."""
    lines = list(told(comparisons, verdicts))
    print("\n".join(lines))
    if options.to:
        picture = options.to.with_suffix(".png")
        head = (
            f"# Samplers against each other\n\n{(__doc__ or '').partition(chr(10) * 2)[2]}\n![regret]({picture.name})\n"
        )
        options.to.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
        write_plot(comparisons, picture)


def parsed_options() -> argparse.Namespace:
    """What the command line says, with what its form leaves open."""
    parser = argparse.ArgumentParser(description="The regret of every sampler, as its cost grows.")
    parser.add_argument("--full", action="store_true", help="whole sets, all granularities, all samplers")
    parser.add_argument("--hard", type=Path, help="folder with base, aligned, expert and both sets")
    parser.add_argument("--real", type=Path, help="folder of the real trio, such as build/real-trio")
    parser.add_argument("--families", nargs="*", help="only these: tiny, hard, real")
    parser.add_argument("--granularities", nargs="*", help="only these: layer, module, tensor, ...")
    parser.add_argument("--samplers", nargs="*", choices=list(SAMPLERS), help="only these")
    parser.add_argument("--seeds", type=int, default=5, help="so many, from 0")
    parser.add_argument("--budget", type=float, default=200.0, help="evaluation-equivalents of a run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--real-examples", type=int, default=8, help="of each set, to search the real trio on")
    parser.add_argument("--real-budget", type=float, default=160.0, help="of a run over the real trio")
    parser.add_argument("--real-seeds", type=int, default=1, help="for the real trio")
    parser.add_argument("--no-verdict", action="store_true", help="judge no more fronts on held-out examples")
    parser.add_argument("--verdict-points", type=int, default=MAX_POINTS, help="of each front, at most so many")
    parser.add_argument("--results", type=Path, help="folder of the trials; what is there is not run again")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    parser.add_argument("--to", type=Path, help="a Markdown file for the tables; the plot goes beside it")
    options = parser.parse_args()
    form = "full" if options.full else "quick"
    options.results = (options.results or Path("build/bench-search") / form).resolve()
    options.samplers = options.samplers or SAMPLERS_OF[form]
    return options


def main() -> None:
    """Run, judge, print, draw."""
    options = parsed_options()
    cells = list(chain.from_iterable(plan.cells(options.samplers) for plan in plans_of(options)))
    results, n_processes, n_points = options.results, options.processes, options.verdict_points
    if not options.report_only:
        say_each(fill(cells, results, n_processes), f"searched, of {len(cells)},")
        if not options.no_verdict:
            say_each(judge_missing(cells, results, n_processes, n_points), "judged")
    write_report(compared(cells, results), judged_fronts(cells, results, n_points), options)


if __name__ == "__main__":
    main()
