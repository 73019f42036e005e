"""Carries out a schedule: commands, faults at their moments, the same commands again, and then the checks."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.search import PreparedSearch
from tests.chaos.commands import Command, Surroundings
from tests.chaos.disks import SmallDisk
from tests.chaos.faults import Scene, inflict
from tests.chaos.invariants import Ending, Evidence, Export, Finished, finished, violations
from tests.chaos.outcome import Outcome, Watch
from tests.chaos.schedule import BUILT_IN, ON_DATABASE, ON_EXPORTS, ON_WORKERS, Fault, Kind, Schedule
from tests.chaos.workbench import Workbench, name_of, write_clock
from workers.checkpoints import MappedCheckpoint

_LOOK_EVERY_S = 0.02
# What no search here takes, on the slowest machine, from one finished trial to the next.
_PATIENCE_S = 240.0
# More than there are faults; a command that ends without one is a violation by itself.
_MAX_STARTS = 8
# How many trials are evaluated once more.
_N_RECOMPUTED = 3
# A merge has 809,048 bytes, a ranking of the family half as many for each expert.
_EXPORT_DISK, _CACHE_DISK = 300_000, 400_000


class Conduct:
    """One schedule on a bench.

    Args:
        schedule: what happens.
        bench: where.
    """

    def __init__(self, schedule: Schedule, bench: Workbench) -> None:
        self._schedule = schedule
        self._bench = bench
        self._study = f"chaos-{schedule.seed}-{time.time_ns():x}"
        self._folder = bench.folder / self._study
        self._folder.mkdir()
        self._exports = self._folder / "exports"
        self._exports.mkdir()
        self._cache = SmallDisk(self._folder / "cache", _CACHE_DISK) if Kind.CACHE_DISK_FULL in schedule.kinds else None
        self._scene = Scene(bench, schedule.search, self._study, write_clock(self._folder / "clock"))
        self._commands: list[Command] = []
        self._endings: list[Ending] = []
        self._seen: dict[int, Finished] = {}
        self._changed: list[str] = []
        self._outcome = Outcome(schedule, {fault.kind: False for fault in schedule.faults})

    def carry_out(self) -> Watch:
        """From the first command to the checks; processes may still be on their way out."""
        try:
            return self._carry_out()
        except BaseException:
            for command in self._commands:
                command.kill()
            raise
        finally:
            if self._cache:
                self._cache.close()

    def _carry_out(self) -> Watch:
        started = time.monotonic()
        specification = self._bench.write_specification(self._schedule.search, self._study, self._schedule.seed)
        prepared = self._bench.prepare(specification)
        stalled = self._search(specification)
        if stalled:
            evidence = self._evidence(prepared, stalled)
        else:
            for fault in self._schedule.faults:
                if fault.kind in ON_EXPORTS:
                    self._export(fault)
            evidence = self._evidence(prepared, "")
        self._outcome.violations += [*self._changed, *violations(evidence)]
        self._outcome.seconds = time.monotonic() - started
        return Watch(self._outcome, self._commands, self._bench.cluster_workers())

    # ---- the search ----

    def _search(self, specification: Path) -> str:
        """Until it is finished; or why it never will be."""
        waiting = deque(f for f in self._schedule.faults if f.kind not in BUILT_IN | ON_EXPORTS)
        arguments = ("search", str(specification))
        drivers = self._scene.drivers = [self._start(arguments) for _ in range(self._schedule.search.n_drivers)]
        moved, n_finished = time.monotonic(), 0
        while True:
            n_now = self._bench.database.n_finished(self._study)
            if waiting and _has_come(waiting[0], self._scene, n_now):
                self._befall(waiting.popleft())
                moved = time.monotonic()
            if n_now is not None and n_now != n_finished:
                moved, n_finished = time.monotonic(), n_now
            if not self._scene.living:
                codes = [self._end(driver) for driver in drivers]
                if 0 in codes:
                    return ""
                if self._outcome.n_starts >= _MAX_STARTS:
                    return f"it did not, in {self._outcome.n_starts} starts: {self._endings[-1].stderr[-1000:]}"
                drivers = self._scene.drivers = [self._start(arguments)]
                moved = time.monotonic()
            if time.monotonic() - moved > _PATIENCE_S:
                return self._give_up(n_finished)
            time.sleep(_LOOK_EVERY_S)

    def _start(self, arguments: tuple[str, ...], largest_file: int | None = None) -> Command:
        self._outcome.n_starts += arguments[0] == "search"
        variables = self._bench.variables(self._folder / "cache")
        surroundings = Surroundings(variables, self._scene.clock, largest_file)
        command = Command(arguments, surroundings, self._folder / f"{arguments[0]}-{len(self._commands)}")
        self._commands.append(command)
        return command

    def _befall(self, fault: Fault) -> None:
        self._look()
        self._outcome.struck[fault.kind] = inflict(self._scene, fault)
        self._look()

    def _look(self) -> None:
        """Remember what is finished now, and that nothing that was has changed."""
        trials = self._bench.database.trials(self._study)
        if trials is not None:
            now = finished(trials)
            lost = [number for number, then in self._seen.items() if now.get(number) != then]
            self._changed += [f"no finished evaluation is lost: trials {lost} were, under way"] if lost else []
            self._seen.update(now)

    def _end(self, command: Command) -> int:
        code = command.exit_code
        assert code is not None
        was_cut = any(struck for kind, struck in self._outcome.struck.items() if kind in ON_DATABASE)
        self._endings.append(Ending(command.arguments, code, command.stderr, self._was_struck(code), was_cut))
        if self._cache and code:
            self._cache.grow(100 * _CACHE_DISK)
        return code

    def _was_struck(self, code: int) -> bool:
        if self._cache and self._cache.is_mounted and code and Kind.CACHE_DISK_FULL in self._outcome.struck:
            self._outcome.struck[Kind.CACHE_DISK_FULL] = True
        return any(self._outcome.struck.values())

    def _give_up(self, n_finished: int) -> str:
        living = [driver.stderr[-1000:] for driver in self._scene.living]
        left = [name_of(process) for driver in self._scene.living for process in driver.members()]
        for command in self._commands:
            command.kill()
        return f"nothing happened for {_PATIENCE_S:g} s after {n_finished} trials; {left} ran, and told {living}"

    # ---- exports ----

    def _export(self, fault: Fault) -> None:
        strike = self._killed_export if fault.kind == Kind.EXPORT_KILLED else self._export_without_room
        self._outcome.struck[fault.kind] = strike(fault)
        if not (self._exports / "merge").exists():
            again = self._start(self._export_arguments(self._exports / "merge"))
            if again.wait(_PATIENCE_S) is None:
                again.kill()
                again.wait(10)
            code = again.exit_code
            self._endings.append(Ending(again.arguments, -1 if code is None else code, again.stderr, False))

    def _export_arguments(self, folder: Path) -> tuple[str, ...]:
        return ("export", self._study, "--to", str(folder))

    def _killed_export(self, fault: Fault) -> bool:
        export = self._start(self._export_arguments(self._exports / "merge"))
        deadline = time.monotonic() + _PATIENCE_S
        # From when it writes, it takes about a second.
        while export.exit_code is None and time.monotonic() < deadline and not list(self._exports.iterdir()):
            time.sleep(_LOOK_EVERY_S / 4)
        export.wait(0.6 * fault.choice)
        struck = export.send(9)
        export.wait(_PATIENCE_S)
        return struck

    def _export_without_room(self, fault: Fault) -> bool:
        disk = SmallDisk(self._folder / "disk", _EXPORT_DISK)
        limit = None if disk.is_mounted and fault.choice < 0.5 else _EXPORT_DISK
        place = self._exports if limit else disk.folder
        export = self._start(self._export_arguments(place / "merge"), limit)
        code = export.wait(_PATIENCE_S)
        self._endings.append(Ending(export.arguments, -1 if code is None else code, export.stderr, True))
        left = [path.name for path in place.iterdir()]
        self._changed += [f"exports are whole: {left} are left where there was no room"] if left else []
        disk.close()
        return code == 1

    # ---- what is seen in the end ----

    def _evidence(self, prepared: PreparedSearch, stalled: str) -> Evidence:
        trials = self._bench.database.trials_for_sure(self._study)
        front = None if stalled else self._front()
        evidence = Evidence(
            budget=self._schedule.search.n_evaluations,
            params=frozenset(prepared.plan().distributions),
            landmarks=list(prepared.plan().landmarks),
            trials=trials,
            seen=self._seen,
            front=front,
            endings=self._endings,
            exports=[_export_in(path, self._study) for path in sorted(self._exports.iterdir())],
            stalled=stalled,
            # One that fails there keeps what it has.
            holds_out=not self._schedule.search.overflows and not self._schedule.kinds & ON_WORKERS,
        )
        if Kind.NON_FINITE_SCORES in self._outcome.struck:
            reasons = {trial.attributes.get("failure") for trial in trials}
            self._outcome.struck[Kind.NON_FINITE_SCORES] = "non_finite_score" in reasons
        return evidence if stalled else replace(evidence, recomputed=self._recomputed(prepared, evidence))

    def _front(self) -> list[int] | None:
        command = self._start(("front", self._study, "--json"))
        code = command.wait(_PATIENCE_S)
        if code != 0:
            return None
        shown: dict[str, Any] = json.loads(command.stdout)
        return [point["trial"] for point in shown["front"]]

    def _recomputed(self, prepared: PreparedSearch, evidence: Evidence) -> Mapping[int, tuple[float, ...]]:
        # The estimates of a race that was stopped are of a part of the examples.
        whole = [trial for trial in evidence.complete if trial.attributes.get("share", 1.0) == 1]
        draw = random.Random(self._schedule.seed)
        chosen = draw.sample(whole, min(_N_RECOMPUTED, len(whole)))
        return {trial.number: self._bench.evaluate(prepared, trial.params) for trial in chosen}


def _has_come(fault: Fault, scene: Scene, n_finished: int | None) -> bool:
    """Whether its moment has; waits for the last part of a second of it."""
    if fault.kind in ON_WORKERS and scene.worker(fault) is None:
        return False  # the search starts again, and has none yet
    if fault.n_finished is None:
        return time.monotonic() - scene.drivers[-1].started >= fault.delay_s
    if n_finished is None or n_finished < fault.n_finished:
        return False
    time.sleep(fault.delay_s)
    return True


def _export_in(path: Path, study: str) -> Export:
    """Whether a folder is a model that loads, and says whose it is."""
    try:
        origin = json.loads((path / "provenance.json").read_text())
        is_whole = origin["study"] == study and MappedCheckpoint(path).header.n_parameters == 201_280
        is_whole = is_whole and (path / "README.md").is_file() and (path / "recipe.yaml").is_file()
    except (OSError, ValueError, KeyError):
        is_whole = False
    return Export(path.name, is_whole)
