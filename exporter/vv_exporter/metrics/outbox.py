"""What waits for receivers that the exporter delivers to itself."""

from vv_exporter.metrics import gauge

OUTBOX_QUEUE = gauge("vv_outbox_queue", "Events that wait for their delivery to a receiver.", "destination")
OUTBOX_OLDEST = gauge(
    "vv_outbox_oldest_timestamp_seconds", "Since when the oldest of them waits; 0 when none does.", "destination"
)
