"""Runs in mergekit's environment: candidates made in memory, as mergekit-evolve makes them.

    python mergekit_candidates.py BASE N_THREADS

For every line on stdin, the path of a configuration, it plans the merge, executes it and copies it into the live
model, and answers with a line of JSON: the seconds, and the most memory that the process has had.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from mergekit import plan
from mergekit.architecture import ConfiguredModelArchitecture, arch_info_for_config
from mergekit.config import MergeConfiguration
from mergekit.graph import Executor, Task
from mergekit.io.tasks import LoaderCache, ReturnTensor
from mergekit.options import MergeOptions


class AnyReturnTensor(ReturnTensor):  # type: ignore[misc]
    """As 0.1.5 has it, but for the annotation: that one refuses the tasks which its own planner makes."""

    tensor_task: Task


class LiveModel:
    """One resident model, overwritten by every candidate.

    Args:
        base: folder of the base model.
    """

    def __init__(self, base: str) -> None:
        self.options = MergeOptions(quiet=True)
        LoaderCache().setup(self.options)
        config = transformers.AutoConfig.from_pretrained(base)
        self.arch = ConfiguredModelArchitecture(info=arch_info_for_config(config), config=config)
        auto_model: Any = transformers.AutoModelForCausalLM
        model = auto_model.from_config(config, dtype=torch.bfloat16)
        self.parameters = dict(model.eval().requires_grad_(False).named_parameters())

    def make(self, text: str) -> None:
        """Plan, execute, and copy what comes out into the model."""
        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        planner = plan.MergePlanner(config, self.arch.info, self.options, self.arch.config)
        executor = Executor(planner.plan_in_memory(), math_device="cpu", storage_device="cpu")
        for task, value in executor.run(quiet=True):
            self.parameters[task.weight_info.name].data.copy_(value)


def main() -> None:
    """Answer every line."""
    torch.set_num_threads(int(sys.argv[2]))
    plan.ReturnTensor = AnyReturnTensor
    model = LiveModel(sys.argv[1])
    for line in sys.stdin:
        text = Path(line.strip()).read_text()
        started = time.perf_counter()
        model.make(text)
        seconds = time.perf_counter() - started
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}), flush=True)


if __name__ == "__main__":
    main()
