"""What only the pool in this process does."""

from __future__ import annotations

import pytest

from search_spaces.errors import PoolError
from workers.text_worker import TextWorkerSetup
from workers.worker_pools import InProcessPool


@pytest.mark.parametrize("n_workers", [-1, 2])
def test_it_has_one_worker_or_none(n_workers: int) -> None:
    with pytest.raises(PoolError, match=f"has one worker or none, but got {n_workers}"):
        InProcessPool(TextWorkerSetup()).resize(n_workers)
