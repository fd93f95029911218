"""DVRs, as the agent (`source="agent"`) and the exporter's own probe (`source="probe"`) see them."""

from vv_exporter.metrics import Metric, counter, gauge

DVR_UP = gauge(
    "vv_dvr_up", "Whether the latest attempt got a stream; absent when an agent's has ended.", "dvr", "source"
)
DVR_LAST_RESULT = gauge(
    "vv_dvr_last_result", "1 for the result of the latest attempt, 0 for all others.", "dvr", "source", "result"
)
DVR_ATTEMPTS = Metric(
    "vv_dvr_attempts_total",
    "counter",
    "Attempts to get a stream by result: ok, dns, refused, timeout, auth, no_stream, frozen, error.",
    ("dvr", "source", "result"),
    limit=4000,
)
DVR_CONSECUTIVE_FAILURES = gauge(
    "vv_dvr_consecutive_failures", "Failed attempts since the last one that got a stream.", "dvr", "source"
)
DVR_DOWN_SINCE = gauge(
    "vv_dvr_down_since_timestamp_seconds", "When the first of these failed; absent without one.", "dvr", "source"
)
DVR_HELD_BACK = gauge(
    "vv_dvr_login_held_back_timestamp_seconds",
    "Since when user and password are not sent, as the DVR refused them too often; absent while they are.",
    "dvr",
    "source",
)
DVR_LAST_FRAME = gauge(
    "vv_dvr_last_frame_timestamp_seconds", "When the agent, or without one the probe, got its latest frame.", "dvr"
)
DVR_FRAMES = counter("vv_dvr_frames_total", "Frames that the agent, or without one the probe, got.", "dvr")
DVR_LOST = counter(
    "vv_dvr_lost_total",
    "Streams that were lost: an attempt failed after one that got a stream, or the agent was killed.",
    "dvr",
    "source",
)
DVR_AGENT_UP = gauge(
    "vv_dvr_agent_up",
    "1 while an agent gets the DVR's stream or tries to, 0 since it was killed; absent when it ended by itself.",
    "dvr",
)
DVR_PROBE_DURATION = gauge(
    "vv_dvr_probe_duration_seconds",
    "How long the latest probe took by phase: dns, connect, describe, setup, first_packet; absent if not reached.",
    "dvr",
    "phase",
)
