"""Prometheus' configuration and rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from vv_exporter.language import ENGLISH, current
from vv_exporter.render import base
from vv_exporter.render.annotations import translated_rules
from vv_exporter.render.commands import Commands
from vv_exporter.settings import RUNBOOK_BASE_URL, Settings
from vv_exporter.settings.exporter_access import trusting_exporter

_EXPORTER_JOBS = ("vv-exporter", "vv-exporter-events")
_RUNBOOK = re.compile(rf"{re.escape(RUNBOOK_BASE_URL)}/(\w+)\.md")
PASSWORD, TOKEN = "remote_write_password", "remote_write_token"  # names of files
EXPORTER_PASSWORD = "exporter_password"  # noqa: S105 - another one


def config(source: Path, settings: Settings, out: Path) -> str:
    """The text of prometheus.yml; its secrets are in files below `out`."""
    return base.dump(document(base.load(source / "prometheus" / "prometheus.yml"), settings, out / "secrets"))


def document(committed: dict[str, Any], settings: Settings, secrets: Path) -> dict[str, Any]:
    """The committed prometheus.yml with this device, its addresses and its interval in their places."""
    interval = f"{settings.scrape_interval:.0f}s"
    labels = committed["global"].get("external_labels", {}) | {"device": settings.device_id}
    alertmanager = urlsplit(settings.alertmanager)
    targets = {
        **dict.fromkeys(_EXPORTER_JOBS, urlsplit(settings.exporter_url)),
        "prometheus": urlsplit(f"http://127.0.0.1:{settings.prometheus_port}"),
        "alertmanager": alertmanager,
    }
    return committed | {
        "global": committed["global"]
        | {"scrape_interval": interval, "evaluation_interval": interval, "external_labels": labels},
        "alerting": {
            "alertmanagers": [
                _server_place(alertmanager.scheme, alertmanager.path) | _static_target(alertmanager.netloc)
            ]
        },
        "scrape_configs": [
            _scrape_job(job, targets[job["job_name"]], settings.device_id)
            | _as_user(job["job_name"], settings, secrets)
            | _more_often(job, settings.scrape_interval)
            if job["job_name"] in targets
            else job
            for job in committed["scrape_configs"]
        ]
        + _agent_jobs(settings),
        **_remote_write(settings, secrets),
    }


def _remote_write(settings: Settings, secrets: Path) -> dict[str, Any]:
    """Where all series are sent as well. Few connections, and patience: the link of an edge device comes and goes."""
    if not settings.remote_write_url:
        return {}
    store: dict[str, Any] = {"name": "store", "url": settings.remote_write_url}
    if settings.remote_write_token:
        store["authorization"] = {"credentials_file": str(secrets / TOKEN)}
    elif settings.remote_write_username:
        store["basic_auth"] = {"username": settings.remote_write_username, "password_file": str(secrets / PASSWORD)}
    store["queue_config"] = {"max_shards": 4, "max_backoff": "30s"}
    return {"remote_write": [store]}


def _agent_jobs(settings: Settings) -> list[dict[str, Any]]:
    """What the fleet's agent says of what it sends, for `vv fleet status`."""
    if not settings.fleet_url:
        return []
    kept = {"source_labels": ["__name__"], "regex": "vmagent_remotewrite_requests_total", "action": "keep"}
    job = {"job_name": "vmagent", "metric_relabel_configs": [kept]}
    return [_scrape_job(job, urlsplit(settings.fleet_agent), settings.device_id)]


def rules(source: Path, settings: Settings) -> dict[str, str]:
    """The rule files by name, with this device's runbooks and commands in what they say, in the current language."""
    return {path.name: _rule_file(path, settings) for path in sorted((source / "prometheus" / "rules").glob("*.yml"))}


def _rule_file(path: Path, settings: Settings) -> str:
    if current() == ENGLISH:  # as committed, with its comments
        return here(path.read_text(encoding="utf-8"), settings)
    document = translated_rules(base.load(path))
    for group in document["groups"]:
        for rule in group["rules"]:
            if "annotations" in rule:
                rule["annotations"] = {name: here(text, settings) for name, text in rule["annotations"].items()}
    return base.dump(document)


def here(text: str, settings: Settings) -> str:
    """What a rule says, with this device's runbooks and commands."""
    return Commands(settings).here(_RUNBOOK.sub(lambda found: settings.runbook(found[1]), text))


def _scrape_job(job: dict[str, Any], server: SplitResult, device: str) -> dict[str, Any]:
    default = {"scheme": "http", "metrics_path": job.get("metrics_path", "/metrics")}
    elsewhere = {"scheme": server.scheme, "metrics_path": server.path + default["metrics_path"]}
    changed = {key: value for key, value in elsewhere.items() if value != default[key]}
    return job | changed | _static_target(server.netloc, {"device": device})


def _as_user(job: str, settings: Settings, secrets: Path) -> dict[str, Any]:
    """How the exporter is asked, where it has users or a certificate of its own."""
    if job not in _EXPORTER_JOBS:
        return {}
    asked: dict[str, Any] = dict(trusting_exporter(settings))
    if settings.exporter_username:
        password_file = str(secrets / EXPORTER_PASSWORD)
        asked["basic_auth"] = {"username": settings.exporter_username, "password_file": password_file}
    return asked


def _more_often(job: dict[str, Any], interval: float) -> dict[str, Any]:
    """An interval of a job's own, where that of all others is not shorter anyway. Both are in whole seconds."""
    own = job.get("scrape_interval")
    return {"scrape_interval": f"{min(float(own.removesuffix('s')), interval):.0f}s"} if own else {}


def _server_place(scheme: str, path: str) -> dict[str, Any]:
    return ({"scheme": scheme} if scheme != "http" else {}) | ({"path_prefix": path} if path else {})


def _static_target(address: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"static_configs": [{"targets": [address]} | ({"labels": labels} if labels else {})]}
