"""What the device has of its fleet."""

from vv_exporter.metrics import gauge

UNREACHABLE = "unreachable"
"""The one reason for which nothing was refused."""
REFUSALS = (UNREACHABLE, "answer", "unverified", "signature", "format", "version", "config", "disk")
"""Why the fleet's configuration is not taken, in the order in which it is looked at."""

FLEET_CONFIG_VERSION = gauge(
    "vv_fleet_config_version",
    "Version of the fleet's configuration that is part of the settings; 0: none is. Absent where none is pulled.",
)
FLEET_CONFIG_REFUSED = gauge(
    "vv_fleet_config_refused",
    "Whether the last pull ended so: unreachable (nothing was refused), answer (redirected or too large), unverified "
    "(without openssl), signature, format, version (older, or another text), config (not for the centre to say, or "
    "wrong), disk; vv_last_failure_info says more.",
    "reason",
)
FLEET_CONFIG_PULLED = gauge(
    "vv_fleet_config_pulled_timestamp_seconds",
    "When a pull last ended well, whether or not there was anything new; 0: not since the start.",
)
