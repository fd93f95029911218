"""The daily digest by e-mail."""

from vv_exporter.metrics import gauge

DIGEST_LAST_SENT = gauge("vv_digest_last_sent_timestamp_seconds", "When a digest was last sent; 0 for never.")
DIGEST_NEXT_DUE = gauge(
    "vv_digest_next_due_timestamp_seconds", "When the next one is due; in the past while it cannot be sent."
)
