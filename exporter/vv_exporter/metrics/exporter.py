"""The exporter itself."""

from vv_exporter.metrics import counter, gauge

BUILD_INFO = gauge("vv_exporter_build_info", "The exporter's version; always 1.", "version", "revision", "python")
COLLECTOR_SUCCESS = gauge(
    "vv_collector_success", "Whether the collector answered in time without an error.", "collector"
)
COLLECTOR_DURATION = gauge(
    "vv_collector_duration_seconds", "How long the collector took at its last answer.", "collector"
)
EVENTS = counter("vv_events_total", "Journal events counted.", "type")
EVENTS_REJECTED = counter(
    "vv_events_rejected_total",
    "Journal lines that could not be used: torn, oversize, syntax, depth, schema, version, unknown_type, fold, commit; "
    "and rows of the exporter's own database: stored.",
    "reason",
)
EVENTS_DROPPED = counter(
    "vv_events_dropped_total",
    "Events that a writer could not write, or removed to keep the journal within its bound.",
    "component",
)
EVENTS_MISTIMED = counter(
    "vv_events_mistimed_total",
    "Journal events whose time cannot be true (reason: future, past); they count as now, or as the device's start.",
    "reason",
)
CLOCK_STEPS = counter(
    "vv_clock_steps_total", "Times that the device's clock was set (direction: forward, back).", "direction"
)
EVENT_LAG = gauge(
    "vv_event_lag_seconds",
    "Age of the oldest event that is not counted yet; else of the one counted last, when it was, for a minute.",
)
EVENT_BACKLOG = gauge("vv_event_backlog_bytes", "Journal bytes that are not counted yet.")
SERIES_LIMITED = counter(
    "vv_series_limited_total", "Series that gave way because the family had all that it may have.", "metric"
)
LOOP_LAST_RUN = gauge(
    "vv_exporter_loop_last_run_timestamp_seconds",
    "When the last round of this loop of the exporter ended; 0 before there was one.",
    "loop",
)
LOOP_DUE = gauge(
    "vv_exporter_loop_due_timestamp_seconds",
    "When this loop's next round is to begin at the latest; in the past while a round takes long, hangs, or the loop "
    "has died. Absent for what hangs as soon as a disk or a DVR does.",
    "loop",
)
LOOP_SUCCESS = gauge(
    "vv_exporter_loop_last_run_success",
    "Whether that round ended without an error; absent before there was one. What the loop itself copes with, such as "
    "an Engine that does not answer, is none.",
    "loop",
)
LOOP_FAILURES = counter(
    "vv_exporter_loop_failures_total",
    "Rounds of this loop that ended with an error, since the exporter's start.",
    "loop",
)
STARTS = counter(
    "vv_exporter_starts_total",
    "Starts of the exporter by how the one before ended: stopped, or killed (also by a power cut).",
    "previous",
)
