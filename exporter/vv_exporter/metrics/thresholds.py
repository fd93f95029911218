"""Thresholds as series, so that rules stay static while each device has its own."""

from vv_exporter.metrics import gauge

FREE_RATIO = gauge(
    "vv_threshold_filesystem_free_ratio",
    "Alert when less than this share is free (0 to 1).",
    "role",
    "severity",
)
FREE_BYTES = gauge(
    "vv_threshold_filesystem_free_bytes",
    "Alert when less than this is free: the configured size, as far as it is sensible for the file system's own.",
    "role",
    "severity",
)
REDUCED_BYTES = gauge(
    "vv_threshold_filesystem_reduced_bytes",
    "The configured size, only where it is too much for the file system: vv_threshold_filesystem_free_bytes is less.",
    "role",
    "severity",
)
STAGE_SECONDS = gauge(
    "vv_threshold_stage_seconds",
    "Maximum expected duration of the stage, without what is added for the length and size of the video.",
    "stage",
)
STAGE_USUAL_SECONDS = gauge(
    "vv_threshold_stage_usual_seconds",
    "How long a run may take of a stage for which no limit is configured, by what its own recent runs took.",
    "stage",
)
STAGE_DEFAULT_SECONDS = gauge(
    "vv_threshold_stage_default_seconds",
    "How long a run may take of a stage without a configured limit that has too few successful runs.",
)
STAGE_STUCK_RATIO = gauge(
    "vv_threshold_stage_stuck_ratio", "A run that has taken this many times its limit counts as stuck."
)
JOB_SECONDS = gauge("vv_threshold_job_seconds", "Maximum expected duration of the job.", "job")
DVR_FAILURES = gauge("vv_threshold_dvr_failures", "Failed attempts in a row after which a DVR counts as unreachable.")
DVR_DOWN_SECONDS = gauge("vv_threshold_dvr_down_seconds", "Time without a stream after which it is critical.")
DVR_FROZEN_SECONDS = gauge(
    "vv_threshold_dvr_frozen_seconds", "Time without a frame after which a connected stream is frozen."
)
DVR_LOST = gauge("vv_threshold_dvr_lost", "Streams lost within an hour at which a DVR counts as flapping.")
INODES_RATIO = gauge(
    "vv_threshold_filesystem_inodes_free_ratio", "Alert when less than this share of the inodes is free (0 to 1)."
)
FULL_SECONDS = gauge(
    "vv_threshold_filesystem_full_seconds", "Alert when the file system will be full within this time."
)
TEMPERATURE = gauge("vv_threshold_temperature_celsius", "Alert when a sensor of the machine is hotter.")
EVENT_LAG_SECONDS = gauge(
    "vv_threshold_event_lag_seconds", "Alert when events are counted so long after they were written."
)
CPU_RATIO = gauge(
    "vv_threshold_cpu_ratio",
    "Alert when more than this share of the processors is used for long (0 to 1); scope: container or host.",
    "scope",
)
MEMORY_RATIO = gauge(
    "vv_threshold_memory_ratio",
    "Alert when more than this share of the memory is used for long (0 to 1); scope: container or host.",
    "scope",
)
