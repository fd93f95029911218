"""Drills: the alert that a running one raises, and when each channel was last proven by one."""

from vv_exporter.metrics import gauge

RUNNING = gauge(
    "vv_drill_start_timestamp_seconds",
    "A drill that runs, and when it was asked for; `channel` is empty if it goes by all routes of its severity, and "
    "`occurrence` is its id.",
    "severity",
    "channel",
    "occurrence",
)
PROVEN = gauge(
    "vv_alarm_path_proven_timestamp_seconds", "When a channel last took a drill's message; 0: never.", "channel"
)
PROVEN_SECONDS = gauge(
    "vv_alarm_path_proven_duration_seconds",
    "How long that took, from the command to the provider's acceptance; absent while it never did.",
    "channel",
)
PROOF_DUE = gauge(
    "vv_alarm_path_proof_due_timestamp_seconds",
    "By when the channel is to be proven again (VV_DRILL_OVERDUE); absent where drills are not asked for.",
    "channel",
)
NEXT_DUE = gauge("vv_drill_next_due_timestamp_seconds", "When the next drill of VV_DRILL_AT is due.")
