"""File systems: the one with the videos and the system's own."""

from vv_exporter.metrics import gauge

_LABELS = ("role", "path")
SIZE = gauge("vv_filesystem_size_bytes", "Size of the file system.", *_LABELS)
FREE = gauge("vv_filesystem_free_bytes", "Bytes that a normal user can still write.", *_LABELS)
INODES = gauge("vv_filesystem_inodes", "Inodes of the file system; 0 where it has no such bound.", *_LABELS)
INODES_FREE = gauge("vv_filesystem_inodes_free", "Free inodes of the file system.", *_LABELS)
READONLY = gauge("vv_filesystem_readonly", "Whether the file system is mounted read-only.", *_LABELS)
PROBE_SUCCESS = gauge(
    "vv_filesystem_probe_success", "Whether the path could be read and written within its time.", *_LABELS
)
MISSING = gauge("vv_filesystem_missing", "Whether another file system is there than the one that should be.", *_LABELS)
MISSING_INFO = gauge(
    "vv_filesystem_missing_info", "What should be there and is not, while that is so; always 1.", *_LABELS, "reason"
)
PROBE_DURATION = gauge("vv_filesystem_probe_duration_seconds", "How long the last probe took.", *_LABELS)
INGEST_PAUSED = gauge(
    "vv_ingest_paused", "Whether new video is kept from the video storage because that is critically full, or missing."
)
