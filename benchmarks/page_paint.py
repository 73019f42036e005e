"""The page in front of a study of 5,000 trials: first paint, the drawn scatter, and frames while candidates stream in.

A real service and a real browser, both on this machine, as the browser tests have them. Every figure is measured in the
browser: paints and shifts by PerformanceObserver, the scatter by the mark that the page sets when it has been drawn,
frames by requestAnimationFrame.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page
from sqlalchemy import text

from benchmarks.bulk_studies import BulkStudy, _insert, fill, open_bulk_study
from service.database.connection import connect
from service.studies import Driver
from tests.browser_tests.conftest import Service, running_browser, running_service, until

N_TRIALS = 5000
POINTS_PER_S = 20
PROMISED_MS = 1500
STUDY = "many"

# Before any script of the page runs: what the browser measures is kept.
_OBSERVE = """
window.observed = { paints: {}, shift: 0, longest: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.observed.paints[entry.name] = entry.startTime;
}).observe({ type: "paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.observed.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.observed.longest = Math.max(window.observed.longest, entry.duration);
}).observe({ type: "longtask", buffered: true });
"""
_DRAWN = "performance.getEntriesByName('scatter-drawn')[0]?.startTime"
_FRAMES = """(seconds) => new Promise((resolve) => {
  const gaps = [];
  let last = performance.now();
  const end = last + 1000 * seconds;
  const frame = (now) => {
    gaps.push(now - last);
    last = now;
    if (now < end) requestAnimationFrame(frame);
    else resolve(gaps.slice(1));
  };
  requestAnimationFrame(frame);
})"""


@dataclass(frozen=True, slots=True)
class Painted:
    """How a page came up.

    Args:
        first_ms: first contentful paint.
        drawn_ms: the scatter.
        longest_ms: the longest task on the main thread.
        shift: cumulative layout shift.
    """

    first_ms: float
    drawn_ms: float
    longest_ms: float
    shift: float


def paint(page: Page, url: str) -> Painted:
    """Open a search as for the first time, and wait until it is drawn."""
    page.add_init_script(_OBSERVE)
    page.goto(url)
    drawn_ms = until(lambda: page.evaluate(_DRAWN), 60, "the scatter is drawn")
    observed: dict[str, Any] = page.evaluate("window.observed")
    return Painted(observed["paints"]["first-contentful-paint"], drawn_ms, observed["longest"], observed["shift"])


@contextmanager
def many_trials(service: Service, n_trials: int = N_TRIALS) -> Iterator[BulkStudy]:
    """A study of so many trials on the service's database."""
    engine = connect(service.database_url)
    with Driver(engine) as driver:
        bulk = open_bulk_study(engine, driver, STUDY, n_trials + 10_000)
        fill(engine, bulk, n_trials)
        yield bulk
    engine.dispose()


def stream(service: Service, bulk: BulkStudy, stop: threading.Event) -> None:
    """Write candidates one by one, evenly in time; past Optuna, which is slower than that."""
    engine = connect(service.database_url)
    rng = np.random.default_rng(1)
    distributions = bulk.prepared.space.distributions()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT study_id FROM studies WHERE study_name = :name"), {"name": STUDY})
        study_id = found.scalar_one()
        connection.commit()
        number, started = N_TRIALS, time.monotonic()
        while not stop.wait(max(0.0, started + (number - N_TRIALS) / POINTS_PER_S - time.monotonic())):
            _insert(connection, study_id, np.array([number]), distributions, rng)
            connection.commit()
            number += 1
    engine.dispose()


def frames(page: Page, service: Service, bulk: BulkStudy, seconds: float) -> tuple[list[float], int]:
    """Milliseconds between frames while candidates stream in, and how many of them the page has shown by then."""
    stop = threading.Event()
    writer = threading.Thread(target=stream, args=(service, bulk, stop))
    writer.start()
    try:
        gaps_ms: list[float] = page.evaluate(_FRAMES, seconds)
    finally:
        stop.set()
        writer.join()
    shown = page.locator(".numbers dd").first.inner_text().split(" ")[0].replace(",", "")
    return gaps_ms, int(shown) - N_TRIALS


def main() -> None:
    """Print each figure as median, fastest and slowest; then whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    with running_service() as service, running_browser() as browser, many_trials(service) as bulk:
        url = f"{service.url}/#/searches/{STUDY}"
        runs = [_fresh(browser, url) for _ in range(arguments.runs)]
        for name in ("first_ms", "drawn_ms", "longest_ms"):
            _print(name.removesuffix("_ms"), [getattr(run, name) for run in runs])
        print(f"layout shift: {max(run.shift for run in runs):.4f} at most")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        paint(page, url)
        gaps_ms, n_shown = frames(page, service, bulk, arguments.seconds)
    gaps = np.array(gaps_ms)
    print(
        f"frames while {POINTS_PER_S} points/s stream in, {arguments.seconds:g} s ({n_shown} shown): median "
        f"{np.median(gaps):.1f} ms, p95 {np.percentile(gaps, 95):.1f}, p99 {np.percentile(gaps, 99):.1f}, "
        f"longest {gaps.max():.0f}; {len(gaps) / arguments.seconds:.0f} frames/s"
    )
    slowest = max(run.first_ms for run in runs)
    verdict = "kept" if slowest < PROMISED_MS else "not kept"
    print(f"{verdict}: first paint of {N_TRIALS} trials {slowest:.0f} ms at worst, promised < {PROMISED_MS} ms")


def _fresh(browser: Browser, url: str) -> Painted:
    """With an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    painted = paint(context.new_page(), url)
    context.close()
    return painted


def _print(name: str, values_ms: list[float]) -> None:
    print(f"{name}: {median(values_ms):.0f} ms median ({min(values_ms):.0f} to {max(values_ms):.0f})", flush=True)


if __name__ == "__main__":
    main()
