"""Merges made by the real mergekit: many configurations in one process, or one by its command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from search_spaces import MergeRecipe, to_mergekit

_PROCESS = Path(__file__).parent / "mergekit_process.py"
_ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


class MergekitError(RuntimeError):
    """mergekit refuses a configuration."""


@dataclass(frozen=True, slots=True)
class MergekitRun:
    """One merge that mergekit is asked for.

    Args:
        recipe: exported as a configuration.
        folder: into which configuration and merge are written.
        seed: of mergekit's random masks.
    """

    recipe: MergeRecipe
    folder: Path
    seed: int = 0

    @property
    def config(self) -> Path:
        """The file of the configuration."""
        return self.folder / "recipe.yml"

    @property
    def out(self) -> Path:
        """The folder of the merged model."""
        return self.folder / "merged"

    def write(self) -> dict[str, object]:
        """Write the configuration; the process's job."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(to_mergekit(self.recipe))
        return {"config": str(self.config), "out": str(self.out), "seed": self.seed}

    def merged(self) -> dict[str, Tensor]:
        """The tensors that mergekit wrote.

        Raises:
            MergekitError: it wrote none.
        """
        error = self.folder / "error.txt"
        if error.exists():
            raise MergekitError(error.read_text())
        files = sorted(self.out.glob("*.safetensors"))
        return {name: tensor for file in files for name, tensor in load_file(file).items()}


class Mergekit:
    """An installation of mergekit in an environment of its own; it runs on one thread.

    The order in which torch adds up a tensor depends on the number of threads, and with it the last bits of norms and
    cosines: on two threads mergekit's own SLERP differs from itself.

    Args:
        python: the interpreter of that environment.
    """

    def __init__(self, python: Path) -> None:
        self.python = python

    def described(self) -> dict[str, Any]:
        """The versions of `mergekit` and `torch`, and the names of its `methods`."""
        code = (
            "import json, torch; from importlib.metadata import version; "
            "from mergekit.merge_methods.registry import registered_methods; "
            "print(json.dumps({'mergekit': version('mergekit'), 'torch': torch.__version__, "
            "'methods': sorted(m.spec.name for m in registered_methods())}))"
        )
        done = subprocess.run([self.python, "-c", code], env=_ONE_THREAD, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def run(self, runs: Sequence[MergekitRun], jobs: Path) -> None:
        """Make all merges in one process; `jobs` is the file that tells it which."""
        jobs.write_text(json.dumps([run.write() for run in runs]))
        subprocess.run([self.python, _PROCESS, jobs], env=_ONE_THREAD, check=True)

    def run_command(self, run: MergekitRun) -> None:
        """Make one merge by `mergekit-yaml` itself."""
        run.write()
        command = [str(self.python.parent / "mergekit-yaml"), str(run.config), str(run.out), "--no-copy-tokenizer"]
        command += ["--random-seed", str(run.seed), "--quiet"]
        subprocess.run(command, env=_ONE_THREAD, check=True, capture_output=True)
