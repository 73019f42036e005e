"""The service in numbers, for Prometheus: counted in the database when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text

from search_spaces.errors import MissingError
from service.api.search_answers import TrialCounts, count_trials
from service.registry import SearchRegistry, SearchRow, SearchState
from service.study_views import StudyViews

_FAILURES = text(
    "SELECT study_name AS search, coalesce(value_json, '\"unknown\"') AS reason, count(*) AS n"
    " FROM studies JOIN trials t USING (study_id)"
    " LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND key = 'failure'"
    " WHERE t.state = 'FAIL' AND study_name = ANY(:names) GROUP BY 1, 2 ORDER BY 1, 2"
)
_SECONDS = text(
    "SELECT study_name AS search, key, sum(CAST(value_json AS float8)) AS seconds"
    " FROM studies JOIN trials t USING (study_id) JOIN trial_user_attributes USING (trial_id)"
    " WHERE t.state IN ('COMPLETE', 'FAIL') AND key IN ('make_s', 'score_s') AND study_name = ANY(:names)"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
_SUPERVISOR = text("SELECT extract(epoch FROM beat_at) AS beat_at, cluster FROM paretomerge_supervisor")


def service_metrics(engine: Engine, searches: SearchRegistry, views: StudyViews) -> CollectorRegistry:
    """All that the service tells Prometheus: of searches and cluster, and of its own process."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(engine, searches, views))
    ProcessCollector(registry=registry)
    return registry


class ServiceCollector(Collector):
    """Asks the database at each scrape; keeps nothing but hypervolumes.

    Args:
        engine: over the service's database.
        searches: of the same.
        views: of the same.
    """

    def __init__(self, engine: Engine, searches: SearchRegistry, views: StudyViews) -> None:
        self._engine = engine
        self._searches = searches
        self._views = views
        # Search → trials that were counted, and their hypervolume.
        self._hypervolumes: dict[str, tuple[TrialCounts, float | None]] = {}

    def collect(self) -> Iterable[Metric]:
        """All families."""
        rows = self._searches.all()
        names = [row.name for row in rows]
        counts = {name: TrialCounts() for name in names} | count_trials(self._engine, names)
        yield from _of_rows(rows)
        yield from _of_counts(counts)
        yield from self._of_attributes(names)
        yield self._hypervolume(counts)
        yield from self._of_supervisor()

    def _of_attributes(self, names: list[str]) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "paretomerge_failures", "Candidates that failed, by reason.", labels=("search", "reason")
        )
        seconds = CounterMetricFamily(
            "paretomerge_stage_seconds", "Seconds spent by workers on finished candidates.", labels=("search", "stage")
        )
        with self._engine.connect() as connection:
            for row in connection.execute(_FAILURES, {"names": names}):
                failures.add_metric((row.search, row.reason.strip('"')), row.n)
            for row in connection.execute(_SECONDS, {"names": names}):
                seconds.add_metric((row.search, row.key.removesuffix("_s")), row.seconds)
        yield from (failures, seconds)

    def _hypervolume(self, counts: dict[str, TrialCounts]) -> Metric:
        family = GaugeMetricFamily(
            "paretomerge_hypervolume",
            "Of the search's front above its reference point; missing while no candidate has succeeded.",
            labels=("search",),
        )
        self._hypervolumes = {name: self._measured(name, counted) for name, counted in counts.items()}
        for name, (_, value) in self._hypervolumes.items():
            if value is not None:
                family.add_metric((name,), value)
        return family

    def _measured(self, name: str, counted: TrialCounts) -> tuple[TrialCounts, float | None]:
        """From the last scrape if no trial has been finished since."""
        known = self._hypervolumes.get(name)
        if known is not None and known[0].finished == counted.finished:
            return known
        try:
            return counted, self._views.glance(name).standing.hypervolume if counted.finished else None
        except MissingError:  # deleted since it was counted
            return counted, None

    def _of_supervisor(self) -> Iterator[Metric]:
        with self._engine.connect() as connection:
            row = connection.execute(_SUPERVISOR).one()
        yield GaugeMetricFamily(
            "paretomerge_supervisor_beat_timestamp_seconds",
            "When the supervisor last went round, in Unix time; 0 before it first does.",
            value=float(row.beat_at or 0),
        )
        for key, what in _CLUSTER.items():
            yield GaugeMetricFamily(f"paretomerge_cluster_{key}", what, value=float(row.cluster.get(key, 0)))


# What the supervisor stores of the cluster.
_CLUSTER = {
    "cpus": "Cores of the Ray cluster.",
    "gpus": "GPUs of the Ray cluster.",
    "nodes": "Machines of the Ray cluster.",
    "workers_alive": "Workers of all searches and jobs that are alive in the cluster.",
}


def _of_rows(rows: list[SearchRow]) -> Iterator[Metric]:
    states = GaugeMetricFamily("paretomerge_searches", "Searches, by state.", labels=("state",))
    found = Counter(row.state for row in rows)
    for state in SearchState:
        states.add_metric((state,), found[state])
    alive = GaugeMetricFamily("paretomerge_workers_alive", "Workers that a search's driver holds.", labels=("search",))
    allotted = GaugeMetricFamily(
        "paretomerge_workers_allotted", "Workers that a search is granted.", labels=("search",)
    )
    for row in rows:
        alive.add_metric((row.name,), row.n_alive)
        allotted.add_metric((row.name,), row.n_allotted)
    yield from (states, alive, allotted)


def _of_counts(counts: dict[str, TrialCounts]) -> Iterator[Metric]:
    finished = CounterMetricFamily(
        "paretomerge_evaluations", "Finished evaluations: complete or failed.", labels=("search", "state")
    )
    running = GaugeMetricFamily(
        "paretomerge_evaluations_running", "Evaluations that are under way.", labels=("search",)
    )
    spent = CounterMetricFamily(
        "paretomerge_evaluations_spent",
        "What finished evaluations cost of the budget: more than 1 each where gradients were asked for.",
        labels=("search",),
    )
    for name, counted in counts.items():
        spent.add_metric((name,), counted.spent)
        finished.add_metric((name, "complete"), counted.finished - counted.failed)
        finished.add_metric((name, "failed"), counted.failed)
        running.add_metric((name,), counted.running)
    yield from (finished, running, spent)
