"""Searches under seeded faults, and what must hold after them: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.chaos.jobs import end_when_terminated, outcomes_of
from tests.chaos.report import blanks_in, lines_of, table_of
from tests.chaos.schedule import schedule_of


def main() -> int:
    """Carry out schedules side by side; 1 if something was violated."""
    asked = _arguments()
    end_when_terminated()
    seeds = asked.seed or range(asked.first_seed, asked.first_seed + asked.schedules)
    started, outcomes = time.monotonic(), []
    for outcome in outcomes_of([schedule_of(seed) for seed in seeds], min(asked.jobs, len(seeds))):
        outcomes.append(outcome)
        print("\n".join(lines_of(outcome)), flush=True)
    print()
    print("\n".join(table_of(outcomes, time.monotonic() - started)))
    is_violated = any(outcome.violations for outcome in outcomes)
    return int(is_violated or bool(blanks_in(outcomes)) or len(outcomes) < len(seeds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="of the first one; the others follow")
    parser.add_argument("--seed", type=int, nargs="+", help="repeat the schedules of these seeds, and no others")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once, each with a database of its own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
