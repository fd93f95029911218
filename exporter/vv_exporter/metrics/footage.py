"""Footage: what the ledger has of each camera, what is missing and why, and how far back the files reach."""

from vv_exporter.metrics import Metric, counter, gauge

FOOTAGE_SECONDS = Metric(
    "vv_footage_seconds_total",
    "counter",
    "Seconds of footage by what became of them: received, recorded, analysed, summarised, signed; each second once.",
    ("dvr", "step"),
    limit=2500,
)
FOOTAGE_MISSING = Metric(
    "vv_footage_missing_seconds_total",
    "counter",
    "Seconds that were expected and are missing, by cause, counted when it is too late for them to be there.",
    ("dvr", "cause"),
    limit=6500,
)
FOOTAGE_REFUSED = counter(
    "vv_footage_refused_total",
    "Pieces of footage that were not believed: future, past (before 2000), length (none, or over a day).",
    "reason",
)
FOOTAGE_LATEST = gauge(
    "vv_footage_latest_timestamp_seconds", "The end of the latest footage, by what became of it.", "dvr", "step"
)
FOOTAGE_OLDEST = gauge(
    "vv_footage_oldest_timestamp_seconds", "When the oldest file of footage begins that is still there.", "dvr"
)
FOOTAGE_BYTES = gauge("vv_footage_bytes_per_second", "What a second of footage takes on the disk, of late.", "dvr")
FOOTAGE_RETENTION = gauge(
    "vv_footage_retention_seconds",
    "How far back the files will reach when the disk is full, at today's rate: what is there, and what has room.",
    "dvr",
)
FOOTAGE_RECENT = Metric(
    "vv_footage_recent_missing_seconds",
    "gauge",
    "What of the last hour for which it is too late is missing, by cause; what comes after all is not missing.",
    ("dvr", "cause"),
    limit=2000,
)
FOOTAGE_HOLE_START = Metric(
    "vv_footage_hole_start_timestamp_seconds",
    "gauge",
    "When the longest piece begins that is missing of that hour, by cause; at most a day before its end.",
    ("dvr", "cause"),
    limit=2000,
)
FOOTAGE_HOLE_END = Metric(
    "vv_footage_hole_end_timestamp_seconds",
    "gauge",
    "When that piece ends; of one that goes on, up to when it is too late.",
    ("dvr", "cause"),
    limit=2000,
)
FOOTAGE_OPEN = Metric(
    "vv_footage_open_hole_timestamp_seconds",
    "gauge",
    "When the hole began that goes on now, with its cause of now; absent while footage comes.",
    ("dvr", "cause"),
)
FOOTAGE_DAY_RATIO = gauge(
    "vv_footage_day_ratio", "Share of what was expected of the last day that is there; absent if nothing was.", "dvr"
)
FOOTAGE_UNSIGNED = gauge(
    "vv_footage_unsigned_seconds", "What was recorded in a day, should have been signed by now, and is not.", "dvr"
)
FOOTAGE_UNSIGNED_START = gauge(
    "vv_footage_unsigned_start_timestamp_seconds", "When the first recording begins that should be signed.", "dvr"
)
FOOTAGE_UNSIGNED_END = gauge(
    "vv_footage_unsigned_end_timestamp_seconds", "When the last recording ends that should be signed.", "dvr"
)
FOOTAGE_CORRUPT = gauge(
    "vv_footage_corrupt_files", "Files of the last six hours that are there and cannot be played.", "dvr"
)
FOOTAGE_ESSENTIAL = gauge(
    "vv_footage_essential", "Whether the camera is essential in vv.yml: FootageMissing is critical.", "dvr"
)
FOOTAGE_DVR_KEEPS = gauge(
    "vv_footage_dvr_keeps_seconds", "How long the DVR keeps recordings of its own, as vv.yml says.", "dvr"
)
FOOTAGE_MISSING_LIMIT = gauge(
    "vv_threshold_footage_missing_seconds", "FootageMissing when more of an hour than this is missing."
)
FOOTAGE_RETENTION_TARGET = gauge(
    "vv_threshold_footage_retention_seconds", "RetentionShort when the files do not reach back this far.", "dvr"
)
FOOTAGE_SIGNED_WITHIN = gauge(
    "vv_threshold_footage_signed_seconds", "FootageUnsigned when a recording is not signed after this time.", "dvr"
)
