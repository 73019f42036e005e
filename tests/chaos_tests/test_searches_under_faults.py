"""A few schedules from among those of `make chaos`: cheap ones, which have many kinds of faults between them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.chaos.conduct import Conduct
from tests.chaos.schedule import schedule_of
from tests.chaos.workbench import Workbench


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    with Workbench() as bench:
        yield bench


# A crash of Postgres and a killed export; Ctrl-C and a full disk.
@pytest.mark.parametrize("seed", [38, 34])
def test_schedule(seed: int, bench: Workbench) -> None:
    watch = Conduct(schedule_of(seed), bench).carry_out()
    while not watch.is_over():
        time.sleep(0.1)
    assert watch.outcome.violations == []
    assert any(watch.outcome.struck.values())
