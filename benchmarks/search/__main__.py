"""Run the cells that are missing, then print and draw what all of them say.

Every sampler gets the same landmarks first and the same budget, in evaluation-equivalents: a plain trial costs 1, one
with gradients over a share of each set 1 + 2 x share. The regret of a run is the hypervolume that all runs on the same
family and granularity have found together, less its own; given is the median over the seeds, with quartiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.method_fronts import REAL_EXAMPLES, TRIO_SETS
from benchmarks.search.cells import Cell, cells_of, fill, is_whole
from benchmarks.search.families import BUNDLED, Family
from benchmarks.search.plot import write_plot
from benchmarks.search.regret import Run, compare
from benchmarks.search.report import Comparisons, told
from service.samplers import SAMPLERS

# Those that are affordable at 200 evaluations; `gp` takes seconds for each.
QUICK_SAMPLERS = ("grid", "map", "nsga2", "tpe", "cmaes_sweep", "gradient")
SAMPLERS_OF = {"quick": QUICK_SAMPLERS, "full": ("random", "cmaes", *QUICK_SAMPLERS)}
GRANULARITIES = {"quick": ("layer", "module"), "full": ("layer", "module", "tensor")}
# Of each set: half of the bundled ones, so that the quick form takes minutes.
QUICK_EXAMPLES = 48


def families_of(options: argparse.Namespace) -> list[Family]:
    """The bundled family, and those whose folders were given."""
    tiny = Family("tiny", BUNDLED, BUNDLED)
    found = [tiny if options.full else tiny.with_fewer(QUICK_EXAMPLES, options.results)]
    if options.hard:
        hard = options.hard.resolve()
        found.append(Family("hard", hard, hard))
    if options.real:
        real = Family("real", options.real.resolve(), TRIO_SETS)
        found.append(real.with_fewer(REAL_EXAMPLES, options.results))
    return [family for family in found if options.families is None or family.name in options.families]


def compared(cells: Sequence[Cell], results: Path, budget: float) -> Comparisons:
    """The cells whose budget is spent, by family and granularity."""
    runs: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for cell in cells:
        if is_whole(records := cell.records(results), budget):
            samplers = runs.setdefault((cell.family.name, cell.granularity), {})
            samplers.setdefault(cell.sampler, []).append(records)
    return {key: compare(samplers) for key, samplers in runs.items()}


def fill_all(cells: Sequence[Cell], options: argparse.Namespace) -> None:
    """Run what is missing, and say how far it is."""
    started = time.perf_counter()
    for number, cell in enumerate(fill(cells, options.results, options.budget, options.processes), start=1):
        print(f"{number}/{len(cells)} {cell}, {time.perf_counter() - started:.0f} s", flush=True)


def write_report(comparisons: Comparisons, options: argparse.Namespace) -> None:
    """Print the tables; write them with the plot beside them, if asked."""
    lines = list(told(comparisons, options.budget))
    print("\n".join(lines))
    if options.to:
        picture = options.to.with_suffix(".png")
        head = (
            f"# Samplers against each other\n\n{(__doc__ or '').partition(chr(10) * 2)[2]}\n![regret]({picture.name})\n"
        )
        options.to.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
        write_plot(comparisons, options.budget, picture)


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
    parser.add_argument("--results", type=Path, help="folder of the trials; what is there is not run again")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    parser.add_argument("--to", type=Path, help="a Markdown file for the tables; the plot goes beside it")
    options = parser.parse_args()
    form = "full" if options.full else "quick"
    options.results = (options.results or Path("build/bench-search") / form).resolve()
    options.granularities = options.granularities or GRANULARITIES[form]
    options.samplers = options.samplers or SAMPLERS_OF[form]
    return options


def main() -> None:
    """Run, print, draw."""
    options = parsed_options()
    cells = cells_of(families_of(options), options.granularities, options.samplers, options.seeds)
    if not options.report_only:
        fill_all(cells, options)
    write_report(compared(cells, options.results, options.budget), options)


if __name__ == "__main__":
    main()
