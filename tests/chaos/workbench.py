"""Where schedules are carried out one after the other: a database, a Ray, a folder, and a worker to check by."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from search_spaces.errors import PoolError
from service.database.connection import URL_VARIABLE
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.specification import load_specification
from tests.chaos.commands import VARIABLES, Command, Surroundings, start_forks
from tests.chaos.database import FAST, ChaosDatabase
from tests.chaos.disks import SmallDisk
from tests.chaos.schedule import Pool, Search
from workers.candidate_worker import CandidateWorker
from workers.evaluation import Assignment
from workers.merge_memory import DEFAULT_CACHE_GIB
from workers.worker_pools.worker_shell import WorkerShell

# The write-ahead log alone takes 64 MB.
_DATABASE_BYTES = 400 << 20
# As many examples of each set: what is scored is not what is tested.
_N_SEARCH, _N_HOLDOUT = 24, 6
_SETS = {"alignment": ("safety", "refusal_margin"), "expertise": ("domain", "answer_likelihood")}
# As Ray calls the processes of its actors, and the system cuts it off.
_WORKER = f"ray::{WorkerShell.__name__}"[:15]


class Workbench:
    """A context manager; nothing of it is left afterwards."""

    def __init__(self) -> None:
        # Short, for Ray's sockets; and open, for the user as whom PostgreSQL runs where we are root.
        self.folder = Path(tempfile.mkdtemp(prefix="pmc-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.disk = SmallDisk(self.folder / "database", _DATABASE_BYTES)
        self.database = ChaosDatabase(self.disk.folder)
        self._cluster: Command | None = None
        self._workers: dict[str, CandidateWorker] = {}

    def __enter__(self) -> Self:
        start_forks()
        self.database.start()
        for objective, (name, _) in _SETS.items():
            rows = [json.loads(line) for line in (FAMILY / f"{name}.jsonl").read_text().splitlines()]
            kept = [row for row in rows if row["split"] == "search"][:_N_SEARCH]
            kept += [row for row in rows if row["split"] == "holdout"][:_N_HOLDOUT]
            (self.folder / f"{objective}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
        _write_overflowing(FAMILY / "expert", self.folder / "overflowing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            self._cluster.kill()
        self.disk.free()
        self.database.stop()
        self.disk.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def variables(self, cache: Path) -> Mapping[str, str]:
        """The environment of commands."""
        ours = {
            **VARIABLES,
            **FAST,
            "PARETOMERGE_DATA_DIR": str(self.disk.folder),
            "PARETOMERGE_CACHE_DIR": str(cache),
            "RAY_TMPDIR": str(self.folder),
        }
        return {name: value for name, value in os.environ.items() if name != URL_VARIABLE} | ours

    def write_specification(self, search: Search, name: str, seed: int) -> Path:
        """The search as a file, which is named as its study."""
        path = self.folder / name / f"{name}.yaml"
        values = {
            "name": name,
            "models": {
                "base": str(FAMILY / "base"),
                "experts": {
                    "aligned": str(FAMILY / "aligned"),
                    "expert": str(self.folder / "overflowing" if search.overflows else FAMILY / "expert"),
                },
            },
            "space": _space(search),
            "objectives": {
                objective: {"set": str(self.folder / f"{objective}.jsonl"), "scorer": scorer}
                for objective, (_, scorer) in _SETS.items()
            },
            "search": {
                "sampler": search.sampler,
                "evaluations": search.n_evaluations,
                "seed": seed,
                "racing": search.racing,
            },
            "workers": self._workers_section(search),
        }
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    def _workers_section(self, search: Search) -> dict[str, Any]:
        section: dict[str, Any] = {"dtype": "float16" if search.overflows else "float32"}
        if search.keeps_rankings:
            section["cache_gib"] = 0
        if search.pool == Pool.IN_PROCESS:
            return section | {"pool": "in_process"}
        section |= {"pool": "ray", "count": search.n_workers}
        if search.timeout_s is not None:
            section["timeout_s"] = search.timeout_s
        return section | ({"address": self.cluster_address()} if search.pool == Pool.SHARED_CLUSTER else {})

    def cluster_address(self) -> str:
        """Of a Ray that outlives the schedules; started when it is first asked for."""
        file = self.folder / "cluster.address"
        if self._cluster is None or self._cluster.exit_code is not None:
            file.unlink(missing_ok=True)
            clock = write_clock(self.folder / "cluster.clock")
            surroundings = Surroundings(self.variables(self.folder / "cache"), clock)
            self._cluster = Command(("ray",), surroundings, self.folder / "cluster")
            deadline = time.monotonic() + 120
            while not file.exists():
                if self._cluster.exit_code is not None or time.monotonic() > deadline:
                    raise PoolError(f"The harness' Ray must start, but did not:\n{self._cluster.stderr[-2000:]}")
                time.sleep(0.1)
        return file.read_text()

    def cluster_workers(self) -> list[psutil.Process]:
        """Of every search on that Ray."""
        return workers_among(self._cluster.members()) if self._cluster else []

    def prepare(self, specification: Path) -> PreparedSearch:
        """What the commands know of a search."""
        return prepare_search(load_specification(specification))

    def evaluate(self, prepared: PreparedSearch, params: Mapping[str, float]) -> tuple[float, ...]:
        """The values of a candidate, in this process and undisturbed; empty if it has none."""
        key = f"{prepared.specification.space.method} {prepared.space.options.dtype}"
        if key not in self._workers:
            self._workers[key] = CandidateWorker(replace(prepared.worker_setup(), cache_gib=DEFAULT_CACHE_GIB))
        found = self._workers[key].evaluate(Assignment(prepared.recipe(params), measures=prepared.objectives))
        return tuple(found.scores[name].value for name in prepared.objectives) if found.succeeded else ()


def workers_among(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The workers of candidates."""
    return [process for process in processes if name_of(process).startswith(_WORKER)]


def write_clock(path: Path, offset_s: float = 0.0) -> Path:
    """A file by which a command's clock is wrong; see `Surroundings`."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(struct.pack("d", offset_s))
    return path


def name_of(process: psutil.Process) -> str:
    """Of a process; "" of one that is gone."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _space(search: Search) -> dict[str, Any]:
    if search.keeps_rankings:
        return {"method": "ties", "granularity": "blocks:2", "weight": [0.0, 1.5], "density": [0.2, 1.0]}
    return {"method": "task_arithmetic", "granularity": "layer", "weight": [0.0, 1.5]}


def _write_overflowing(model: Path, folder: Path) -> None:
    """A model whose larger shares in a merge have no number in 16 bits, while smaller ones have."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 4e4
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
