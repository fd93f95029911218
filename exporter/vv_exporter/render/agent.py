"""The configuration of the agent (vmagent) that sends what a fleet needs to its centre.

It has two ways, to the same address. By the first it says every 20 seconds that the device lives: without a queue on
disk, so that what is sent after an outage begins with now. By the second goes what is kept of this device, once a
minute, from Prometheus: through a queue on disk, which outlives restarts and power cuts, in order, within a limit.
`vv fleet send-all` has it send everything for a time, which the exporter answers when asked for targets.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vv_exporter.render import base
from vv_exporter.settings import Settings
from vv_exporter.settings.exporter_access import trusting_exporter

TOKEN = "fleet_token"  # noqa: S105 - the name of a file
EXPORTER_PASSWORD = "exporter_password"  # noqa: S105 - another one
TARGETS_PATH = "/api/v1/fleet/targets"
BEAT_SECONDS = 20.0
"""Or VV_FLEET_INTERVAL, where that is shorter. The centre's rules count on it."""

KEPT = (
    '{__name__=~"[a-z_]+:vv_.+",__name__!~".+:new"}',
    'ALERTS{alertstate="firing"}',
    'up{job!~"prometheus|vmagent"}',
    '{__name__=~"vv_(exporter_build_info|alert_path_up|docker_up|ingest_paused|collector_success)"}',
    '{__name__=~"vv_(footage|chain)_.+"}',
    '{__name__=~"vv_(alarm_path_proven_timestamp_seconds|hmac_key_created_timestamp_seconds)"}',
    '{__name__=~"vv_fleet_config_.+"}',
    '{__name__=~"vv_container_(running|restarts_total)|vv_self_monitor_gave_up"}',
    '{__name__=~"vv_dvr_(up|down_since_timestamp_seconds)"}',
    '{__name__=~"vv_filesystem_(size|free)_bytes"}',
    '{__name__=~"vv_host_(load1|memory_(total|available)_bytes|temperature_celsius|boot_time_seconds)"}',
    '{__name__=~"vv_(backlog_videos|quarantine_files|videos_exhausted_total)"}',
    '{__name__=~"vv_(stage|job)_last_success_timestamp_seconds|vv_stage_overdue"}',
    '{__name__=~"vv_alert_events_total|vv_relay_queue|vv_events_dropped_total"}',
)
"""What of a device is kept at the centre, as Prometheus' `match[]`: about 150 series of a small one."""
EVERYTHING = ('{__name__!="up",job!="vmagent"}', 'up{job!~"prometheus|vmagent"}')
"""But for `up` of those two: by it a device is known to live, and that says the first way alone."""
_OF_THE_AGENT = (
    "process_start_time_seconds|vmagent_remotewrite_(pending_data_bytes|bytes_sent_total|rate_limit|samples_dropped_total)"
    "|vm_persistentqueue_bytes_dropped_total"
)
_ABOUT_SCRAPES = {"source_labels": ["__name__"], "regex": "scrape_.*", "action": "drop"}


def configuration(settings: Settings, secrets: Path) -> dict[str, str]:
    """The agent's files by name; none without `VV_FLEET_URL`."""
    if not settings.fleet_url:
        return {}
    beats = [{"source_labels": ["job"], "regex": "vmagent", "action": "keep"}, _ABOUT_SCRAPES]
    kept = [{"source_labels": ["job"], "regex": "vmagent", "action": "drop"}, _ABOUT_SCRAPES]
    return {
        "scrape.yml": base.dump(scrapes(settings, secrets)),
        "beats.yml": base.HEADER + base.dump_list(beats),
        "kept.yml": base.HEADER + base.dump_list(kept),
    }


def scrapes(settings: Settings, secrets: Path) -> dict[str, Any]:
    """What it scrapes: itself, and of Prometheus what is kept, or, for a time, everything."""
    device = {"device": settings.device_id}
    here = device | {name: value for name, value in (("site", settings.site), ("machine", machine())) if value}
    own = {
        "job_name": "vmagent",
        "scrape_interval": f"{min(BEAT_SECONDS, settings.fleet_interval):.0f}s",
        "static_configs": [{"targets": [urlsplit(settings.fleet_agent).netloc], "labels": here}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": _OF_THE_AGENT, "action": "keep"},
            {"regex": "path", "action": "labeldrop"},
        ],
    }
    prometheus = {"targets": [urlsplit(settings.prometheus).netloc], "labels": device}
    kept = _federation_job("kept", f"{settings.fleet_interval:.0f}s", KEPT, settings) | {"static_configs": [prometheus]}
    targets: dict[str, Any] = {"url": f"{settings.exporter_url}{TARGETS_PATH}", **trusting_exporter(settings)}
    if settings.exporter_username:
        password_file = str(secrets / EXPORTER_PASSWORD)
        targets["basic_auth"] = {"username": settings.exporter_username, "password_file": password_file}
    every = f"{settings.scrape_interval:.0f}s"
    everything = _federation_job("everything", every, EVERYTHING, settings) | {"http_sd_configs": [targets]}
    return {"global": {"scrape_interval": "1m"}, "scrape_configs": [own, kept, everything]}


def _federation_job(job: str, interval: str, series: tuple[str, ...], settings: Settings) -> dict[str, Any]:
    """Series of Prometheus as they are there, with their times (https://prometheus.io/docs/prometheus/3.5/federation/):
    what comes by both jobs is one sample. A recorded series has neither job nor instance, and gets none."""
    address = urlsplit(settings.prometheus)
    return {
        "job_name": job,
        "scrape_interval": interval,
        "scheme": address.scheme,
        "metrics_path": f"{address.path}/federate",
        "honor_labels": True,
        "honor_timestamps": True,
        "params": {"match[]": list(series)},
        "metric_relabel_configs": [
            {"if": f'{{job="{job}"}}', "regex": "job|instance", "action": "labeldrop"},
        ],
    }


def machine(file: Path = Path("/etc/machine-id")) -> str:
    """What identifies this machine, "" where it has none: of machine-id(5), which is not to be shown, a hash."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return hashlib.sha256(f"vv fleet {text}".encode()).hexdigest()[:12] if text else ""
