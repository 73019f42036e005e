"""The fused loops' threads beside torch's, in processes of their own: the first merge of a process starts them."""

from __future__ import annotations

import subprocess
import sys

_FIRST_MERGE = """
import torch
from workers.merge_kernels import mix
torch.set_num_threads(1)
mix([torch.ones(5000), torch.ones(5000)], (0.5, 0.5), torch.empty(5000))
print(torch.get_num_threads())
"""


def test_the_first_merge_leaves_torch_the_threads_it_was_given() -> None:
    done = subprocess.run([sys.executable, "-c", _FIRST_MERGE], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"
