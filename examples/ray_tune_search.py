"""A search by Ray Tune over the bundled tiny family, with a callback; run again after any interruption, it goes on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from service.database.connection import connect, database_url
from service.demo import demo_specification
from service.ray_tune import merge_tuner
from service.search import prepare_search
from service.search.selection import front_of
from service.specification import parse_specification
from service.studies import load_study


class Narrator(tune.Callback):  # type: ignore[misc]
    """Any callback or logger of Tune's sees the trials: this one prints them."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print a candidate's scores."""
        result = trial.last_result
        name = trial.config["landmark"] or f"trial {trial.config['trial_number']}"
        print(f"{name}: alignment {result['alignment']:.3f}, expertise {result['expertise']:.3f}", flush=True)


def main() -> None:
    """Search, then print the front."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="ray-tune-example", help="of the study")
    parser.add_argument("--evaluations", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--to", type=Path, default=Path("build/ray-tune"), help="where Tune keeps its files")
    arguments = parser.parse_args()

    specification = demo_specification(arguments.name, arguments.evaluations, arguments.workers)
    prepared = prepare_search(parse_specification(specification, Path.cwd()))
    # Without an address Ray would join whatever cluster was last started on this machine.
    ray.init(os.environ.get("RAY_ADDRESS", "local"), include_dashboard=False, log_to_driver=False)
    run_config = tune.RunConfig(
        name=arguments.name,
        storage_path=str(arguments.to.resolve()),
        callbacks=[Narrator()],
        failure_config=tune.FailureConfig(max_failures=2),
        verbose=0,
    )
    results = merge_tuner(prepared, run_config=run_config).fit()
    best = results.get_best_result("alignment", "max", filter_nan_and_inf=True)
    print(f"best alignment in this run: {best.metrics['alignment']:.3f}" if len(results) else "nothing was left to do")

    trials = load_study(connect(database_url()), arguments.name).trials
    print(f"{len(trials)} trials; on the front:")
    for trial in front_of(trials):
        print(f"  {trial.label}: " + ", ".join(f"{value:.3f}" for value in trial.values))


if __name__ == "__main__":
    main()
