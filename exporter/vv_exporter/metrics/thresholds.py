"""Thresholds as series, so that rules stay static while each device has its own."""

from vv_exporter.metrics import gauge

FREE_RATIO = gauge(
    "vv_threshold_filesystem_free_ratio",
    "Alert when less than this share is free (0 to 1).",
    "role",
    "severity",
)
FREE_BYTES = gauge("vv_threshold_filesystem_free_bytes", "Alert when less than this is free.", "role", "severity")
STAGE_SECONDS = gauge("vv_threshold_stage_seconds", "Maximum expected duration of the stage.", "stage")
