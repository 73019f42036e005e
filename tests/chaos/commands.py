"""Real commands, each in a process and a session of its own, that need not import anything first."""

from __future__ import annotations

import atexit
import mmap
import multiprocessing
import os
import resource
import secrets
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path

import psutil

# Of the server of forks and of all commands, for they are read at imports. Threads that wait for cores would make every
# schedule slower, terminals would break lines, and a token that Ray makes by itself is known to one cluster only.
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "COLUMNS": "200",
    "NO_COLOR": "1",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
_FORKS = multiprocessing.get_context("forkserver")


@contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """For what starts here and takes this process' environment."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def start_forks() -> None:
    """Start the process that imports everything once, and of which commands are forked."""
    _FORKS.set_forkserver_preload(["tests.chaos.preloaded"])
    with variables_set(VARIABLES):
        forkserver.ensure_running()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command finds.

    Args:
        variables: its environment.
        clock: a file with the seconds by which its clock is wrong, which may change.
        largest_file: that it may write, in bytes; None for any.
    """

    variables: Mapping[str, str]
    clock: Path
    largest_file: int | None = None


@dataclass(slots=True)
class Command:
    """`paretomerge` with arguments, as a terminal would start it.

    Args:
        arguments: of the command line.
        surroundings: what it finds.
        stem: of two files, that get its `.out` and `.err`.
    """

    arguments: tuple[str, ...]
    surroundings: Surroundings
    stem: Path
    started: float = field(init=False)
    _is_over: bool = field(init=False, default=False)
    _process: multiprocessing.process.BaseProcess = field(init=False)

    def __post_init__(self) -> None:
        # A daemon: should the harness itself fail, it leaves no command behind.
        self._process = _FORKS.Process(target=_run, args=(self.arguments, self.surroundings, self.stem), daemon=True)
        self._process.start()
        self.started = time.monotonic()
        with suppress(ProcessLookupError):
            while self.exit_code is None and os.getsid(self.pid) != self.pid:
                time.sleep(0.002)

    @property
    def pid(self) -> int:
        """Of the command, and of its session."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; that of a killed command is the negative signal."""
        return self._process.exitcode

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self.stem.with_suffix(".out").read_text()

    @property
    def stderr(self) -> str:
        """What it told."""
        return self.stem.with_suffix(".err").read_text()

    def send(self, signal: int) -> bool:
        """Send a signal to the command alone; whether it still ran."""
        if self.exit_code is not None:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal)
            return True
        return False

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code; None if it still runs after that time."""
        self._process.join(timeout_s)
        return self.exit_code

    def members(self) -> list[psutil.Process]:
        """All living processes of its session, also when it is gone itself."""
        if self._is_over:
            return []  # by now, the number may be another session's
        found = [process for process in psutil.process_iter() if _lives_in(process, self.pid)]
        self._is_over = not found and self.exit_code is not None
        return found

    def kill(self) -> None:
        """End whatever is left of its session."""
        for process in self.members():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _lives_in(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def _run(arguments: tuple[str, ...], surroundings: Surroundings, stem: Path) -> None:
    """In the forked process."""
    os.setsid()
    _redirect(stem)
    os.environ.clear()
    os.environ.update(surroundings.variables)
    _set_clock(surroundings.clock)
    if surroundings.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (surroundings.largest_file, surroundings.largest_file))
    sys.argv = ["paretomerge", *arguments]
    try:
        if arguments[0] == "ray":
            _hold_cluster(stem)
        else:
            from service.cli import main

            main()
    finally:
        # A process of multiprocessing's leaves them out, but Ray ends its own in one.
        atexit._run_exitfuncs()


def _redirect(stem: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(stem.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)


def _set_clock(file: Path) -> None:
    with open(file, "rb") as opened:
        offset = mmap.mmap(opened.fileno(), 8, prot=mmap.PROT_READ)
    true_time = time.time
    time.time = lambda: true_time() + struct.unpack("d", offset[:8])[0]


def _hold_cluster(stem: Path) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(stem.parent),
    )
    address = stem.with_suffix(".address")
    address.with_suffix(".partial").write_text(ray.get_runtime_context().gcs_address)
    address.with_suffix(".partial").rename(address)
    while True:
        time.sleep(60)
