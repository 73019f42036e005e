"""Two processes search one study while their connections are ended at random: each trial counts once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from service.database.connection import connect, plain_url

REPOSITORY = Path(__file__).parents[3]
N_EVALUATIONS = 150
N_DIMS = 12
# A driver that joins anew is hit again where it is slow, and would never come to work.
MOST_ENDED = 12
# A driver as another process; prints the trials that it has told.
DRIVER = """
import json, sys, time
from service.search import prepare_search
from service.search.durable_session import DurableSession
from service.specification import load_specification
from service.studies import SearchStudy
from tests.service_tests.search_tests.conftest import CoefficientPool

told, tell = [], SearchStudy.tell

def tell_and_note(study, number, evaluation):
    if is_taken := tell(study, number, evaluation):
        told.append(number)
    return is_taken

SearchStudy.tell = tell_and_note
prepared = prepare_search(load_specification(sys.argv[1]))
with DurableSession(prepared, sys.argv[2], CoefficientPool(3), has_answered=True) as search:
    search.run(lambda _: time.sleep(0.05))
print(json.dumps(told))
"""
END_ONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'paretomerge'"
    " AND EXISTS (SELECT FROM trials WHERE state = 'COMPLETE') ORDER BY random() LIMIT 1"
)
TRIALS = """
    SELECT number, state::text, (SELECT count(*) FROM trial_params p WHERE p.trial_id = t.trial_id),
           (SELECT count(*) FROM trial_values v WHERE v.trial_id = t.trial_id)
    FROM trials t ORDER BY number
"""


def test_the_budget_is_exact_while_connections_are_ended(
    fresh_database_url: str, tmp_path: Path, write_specification: Callable[..., Path]
) -> None:
    search = {"evaluations": N_EVALUATIONS, "sampler": "random"}
    specification = write_specification(tmp_path, search=search)
    connect(fresh_database_url).dispose()
    command = [sys.executable, "-c", DRIVER, str(specification), fresh_database_url]
    drivers = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    n_ended, chance = 0, random.Random(0)
    with psycopg.connect(plain_url(fresh_database_url), autocommit=True, application_name="the end") as connection:
        while any(driver.poll() is None for driver in drivers):
            if n_ended < MOST_ENDED:
                n_ended += connection.execute(END_ONE).rowcount
            time.sleep(chance.uniform(0.1, 0.4))
        trials = connection.execute(TRIALS).fetchall()
        [n_leases] = connection.execute("SELECT count(*) FROM paretomerge_leases").fetchone() or ()
    told = [json.loads(driver.communicate()[0]) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0]
    assert n_ended > 3
    assert trials == [(number, "COMPLETE", N_DIMS, 2) for number in range(N_EVALUATIONS)]
    assert sorted(told[0] + told[1]) == list(range(N_EVALUATIONS))
    assert n_leases == 0
