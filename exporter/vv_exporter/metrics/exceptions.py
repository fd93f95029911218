"""Exceptions and crashes of the pipeline's scripts."""

from vv_exporter.metrics import counter, gauge

EXCEPTIONS_UNHANDLED = counter(
    "vv_exceptions_unhandled_total",
    "Those of vv_exceptions_total that no stage failed with: they came to the last resort, vv_core.guard.",
    "component",
    "exception",
)
EXCEPTIONS_UNHANDLED_RECENT = gauge(
    "vv_exceptions_unhandled_recent",
    "Those that came to the last resort within the last minute; no series where there was none.",
    "component",
    "exception",
)
SCRIPT_CRASHES = counter(
    "vv_script_crashes_total",
    "Scripts that were killed within vv_core.guard; one within a stage, a job or a link to a DVR counts there alone.",
    "component",
)
SCRIPT_CRASHES_RECENT = gauge(
    "vv_script_crashes_recent",
    "Scripts that were killed within vv_core.guard within the last minute; no series where there was none.",
    "component",
)
