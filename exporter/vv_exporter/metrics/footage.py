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
