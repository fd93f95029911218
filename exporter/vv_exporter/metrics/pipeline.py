"""Stages of the video pipeline."""

from vv_exporter.metrics import counter, gauge, histogram

STAGE_DURATION = histogram(
    "vv_stage_duration_seconds",
    "Duration of finished stage runs, by outcome: success, failure, crashed.",
    "stage",
    "outcome",
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200),
)
STAGE_RUNS_RECENT = gauge(
    "vv_stage_runs_recent",
    "Runs that ended within the last minute, by outcome: failure, crashed; no series where there was none.",
    "stage",
    "outcome",
)
STAGE_RUNNING = gauge("vv_stage_running", "Runs in progress.", "stage")
STAGE_OLDEST_START = gauge(
    "vv_stage_oldest_start_timestamp_seconds", "When the oldest run in progress started.", "stage"
)
STAGE_OVERDUE = gauge("vv_stage_overdue", "Runs in progress that are past their limit.", "stage")
STAGE_LIMIT_USED = gauge(
    "vv_stage_limit_used_ratio",
    "How much of its limit the run in progress has used that used most; above 1 it is overdue, 0 without any run.",
    "stage",
)
STAGE_OVERDUE_START = gauge(
    "vv_stage_overdue_start_timestamp_seconds",
    "When a run that is past its limit started, of the three longest of a stage; pid is one in the container, on "
    "the machine without one, and the limit is the script's, that of the configuration, the usual or the default one.",
    "stage",
    "component",
    "pid",
    "container",
    "video",
    "video_sha256",
    "limit_seconds",
    "limit_from",
)
STAGE_OVERRUNS = counter("vv_stage_overruns_total", "Runs that went past their limit.", "stage")
STAGE_LAST_SUCCESS = gauge("vv_stage_last_success_timestamp_seconds", "When a run last finished with success.", "stage")
EXCEPTIONS = counter(
    "vv_exceptions_total",
    "Exceptions by type: a stage failed with them, or they came to the last resort. Each counts once.",
    "component",
    "exception",
)
LAST_FAILURE = gauge(
    "vv_last_failure_timestamp_seconds", "When the component last failed in this way.", "component", "kind"
)
LAST_FAILURE_INFO = gauge(
    "vv_last_failure_info",
    "The latest failure of a component and kind; always 1.",
    "component",
    "kind",
    "video",
    "video_sha256",
    "error",
    "alert_id",
)
LAST_FAILURE_RECENT = gauge(
    "vv_last_failure_recent_timestamp_seconds",
    "When a component last failed in this way, and with what, if that became known within the last minute.",
    "component",
    "kind",
    "video",
    "video_sha256",
    "error",
    "alert_id",
)
