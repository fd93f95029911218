"""What failed within the last minute, and with what. In health there is no such series, so it can be asked for often.

::

    vv_stage_runs_recent{stage="scan_video",outcome="failure"} 2.0
    vv_last_failure_recent_timestamp_seconds{component="scan.py",kind="stage_failure:scan_video",error="empty",…} 1.7e9

A rule that has nothing of the counters yet takes this, which is the same: what they grew by since they were scraped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._growth import Growth
from vv_exporter.context import Context
from vv_exporter.metrics import Labels, Metric, gauges
from vv_exporter.metrics.exceptions import (
    EXCEPTIONS_UNHANDLED,
    EXCEPTIONS_UNHANDLED_RECENT,
    SCRIPT_CRASHES,
    SCRIPT_CRASHES_RECENT,
)
from vv_exporter.metrics.jobs import JOB_EXIT_CODE_RECENT, JOB_LAST_EXIT_CODE, JOB_RUNS, JOB_RUNS_RECENT
from vv_exporter.metrics.pipeline import LAST_FAILURE_RECENT, STAGE_DURATION, STAGE_RUNS_RECENT
from vv_exporter.metrics.security import (
    HMAC_OPERATIONS,
    HMAC_OPERATIONS_RECENT,
    SCHEMA_VALIDATIONS,
    SCHEMA_VALIDATIONS_RECENT,
)
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED, VIDEOS_EXHAUSTED_RECENT
from vv_exporter.state.failures import FAILURES, Failure
from vv_exporter.state.scrapes import is_success
from vv_exporter.state.store import Series

RECENT = {
    STAGE_DURATION: STAGE_RUNS_RECENT,
    JOB_RUNS: JOB_RUNS_RECENT,
    SCHEMA_VALIDATIONS: SCHEMA_VALIDATIONS_RECENT,
    HMAC_OPERATIONS: HMAC_OPERATIONS_RECENT,
    EXCEPTIONS_UNHANDLED: EXCEPTIONS_UNHANDLED_RECENT,
    SCRIPT_CRASHES: SCRIPT_CRASHES_RECENT,
    VIDEOS_EXHAUSTED: VIDEOS_EXHAUSTED_RECENT,
}
"""By the counter of all, what shows by how much it grew."""
SHORTEST_SECONDS = 60.0
SCRAPES = 3
"""Until the counters themselves were scraped, and their rules evaluated, whatever the interval of both."""


class RecentFailuresCollector:
    """Shows what is new since the looks before; what was counted when it was made is not."""

    name = "recent_failures"

    def __init__(self, context: Context) -> None:
        self._context = context
        seconds = max(SHORTEST_SECONDS, SCRAPES * context.settings.scrape_interval)
        self._counters = Growth(seconds, self._counts())
        self._failures = Growth(seconds, self._latest())

    def collect(self) -> Iterable[Family]:
        """The families."""
        now = self._context.monotonic()
        grown = self._counters.update(self._counts(), now)
        for counter, recent in RECENT.items():
            yield gauges(recent, ((labels, count) for (metric, labels), count in grown.items() if metric is counter))
        yield gauges(
            JOB_EXIT_CODE_RECENT, self._exit_codes({labels[0] for metric, labels in grown if metric is JOB_RUNS})
        )
        failures = self._failures.update(self._latest(), now)
        yield gauges(
            LAST_FAILURE_RECENT,
            (
                ((one.component, one.kind, one.video, one.video_sha256, one.error, one.alert_id), one.time)
                for one in failures
            ),
        )

    def _exit_codes(self, jobs: Set[str]) -> Iterator[tuple[Labels, float]]:
        for labels, series in self._context.store.series(JOB_LAST_EXIT_CODE):
            if labels[0] in jobs and series.value != 0:
                yield labels, series.value

    def _counts(self) -> dict[tuple[Metric, Labels], float]:
        return {
            (metric, labels): _count(metric, series)
            for metric in RECENT
            for labels, series in self._context.store.series(metric)
            if not is_success(metric, labels)
        }

    def _latest(self) -> dict[Failure, float]:
        return dict.fromkeys(self._context.store.docs(FAILURES).values(), 1.0)


def _count(metric: Metric, series: Series) -> float:
    return sum(series.counts) if metric.type == "histogram" else series.value


def build(context: Context) -> RecentFailuresCollector:
    """Make the collector."""
    return RecentFailuresCollector(context)
