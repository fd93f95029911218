"""What is written to the disk that holds the exporter's state, and how worn that is."""

from vv_exporter.metrics import counter, gauge

WRITTEN = counter(
    "vv_state_written_bytes_total",
    "Bytes that reached the disk of VV_STATE_DIR, whoever wrote them, since the device started.",
)
LIFE_USED = gauge(
    "vv_state_disk_life_used_ratio",
    "How much of its life that disk says it has used by being written to, rounded up to a tenth; over 1: more than it "
    "is rated for. Only an eMMC says it.",
)
