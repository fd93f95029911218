"""Videos: those that wait, those that were given up, and those in `corrupted/`."""

from vv_exporter.metrics import counter, gauge

VIDEOS_EXHAUSTED = counter("vv_videos_exhausted_total", "Videos that a stage gave up after its last attempt.", "stage")
VIDEOS_QUARANTINED = counter(
    "vv_videos_quarantined_total", "Files moved to corrupted/, by reason.", "component", "reason"
)
VIDEOS_EXHAUSTED_RECENT = gauge(
    "vv_videos_exhausted_recent",
    "Videos that a stage gave up within the last minute; no series where there was none.",
    "stage",
)
QUARANTINE_FILES = gauge("vv_quarantine_files", "Files in corrupted/, without their side-cars.")
QUARANTINE_BYTES = gauge("vv_quarantine_bytes", "Size of the files in corrupted/.")
BACKLOG_VIDEOS = gauge("vv_backlog_videos", "Files in input/ that wait; without hidden, unfinished and JSON files.")
BACKLOG_OLDEST = gauge(
    "vv_backlog_oldest_timestamp_seconds", "When the file in input/ that waits longest was first seen there."
)
STALLED_SECONDS = gauge(
    "vv_threshold_pipeline_stalled_seconds", "Alert when videos wait and no stage has succeeded for so long."
)
