"""Exceptions and crashes of the pipeline's scripts."""

from vv_exporter.metrics import counter

EXCEPTIONS_UNHANDLED = counter(
    "vv_exceptions_unhandled_total",
    "Those of vv_exceptions_total that no stage failed with: they came to the last resort, vv_core.guard.",
    "component",
    "exception",
)
SCRIPT_CRASHES = counter(
    "vv_script_crashes_total",
    "Scripts that were killed within vv_core.guard; one within a stage, a job or a link to a DVR counts there alone.",
    "component",
)
