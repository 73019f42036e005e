"""Runs in mergekit's environment, of which it needs nothing else: merges one configuration after the other.

Reads a JSON list of `{"config": FILE, "out": FOLDER, "seed": NUMBER}` from the file that it is given. What mergekit
refuses is written to `error.txt` beside the configuration, and the next merge is made.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions


def main() -> None:
    """Merge all that is asked for."""
    for job in json.loads(Path(sys.argv[1]).read_text()):
        try:
            merge(Path(job["config"]), job["out"], job["seed"])
        except Exception as error:
            Path(job["config"]).with_name("error.txt").write_text(f"{type(error).__name__}: {error}")


def merge(config: Path, out: str, seed: int) -> None:
    """Make one merge."""
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True, random_seed=seed)
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(config.read_text())), out, options)


if __name__ == "__main__":
    main()
