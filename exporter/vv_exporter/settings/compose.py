"""The variables that docker-compose.yml alone reads: how the containers are run, not what the programs do."""

from __future__ import annotations

from typing import NamedTuple


class ComposeVariable(NamedTuple):
    """A name, its default ("" where it must be set, or is left to others), and what it means."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    ComposeVariable("COMPOSE_PROJECT_NAME", "vv", "Name of the project, as commands in alerts and runbooks have it."),
    ComposeVariable("DOCKER_GID", "", "Must be set: the group of Docker's socket (stat -c %g /var/run/docker.sock)."),
    ComposeVariable("DOCKER_SOCKET", "/var/run/docker.sock", "Docker's socket on the device."),
    ComposeVariable("VV_CONFIG_DIR", "/etc/vv", "The folder of vv.yml and secrets/ on the device."),
    ComposeVariable("VV_BIND_ADDRESS", "127.0.0.1", "The address of the device that the servers listen on."),
    ComposeVariable("VV_EXPORTER_SCHEME", "http", "https where VV_WEB_CONFIG_FILE gives the exporter TLS."),
    ComposeVariable("VV_GRAFANA_PORT", "3000", "Port of Grafana."),
    ComposeVariable("VV_GRAFANA_PUBLIC_URL", "", "Where people reach Grafana; default: its port on 127.0.0.1."),
    ComposeVariable("VV_PROMETHEUS_PUBLIC_URL", "", "Where people reach Prometheus; default: its port on 127.0.0.1."),
    ComposeVariable("VV_PROMETHEUS_RETENTION_TIME", "30d", "How long Prometheus keeps samples."),
    ComposeVariable("VV_PROMETHEUS_RETENTION_SIZE", "1GB", "Disk that they may use."),
    ComposeVariable("VV_UID", "19461", "User of the exporter and the servers; owns the state folder and the secrets."),
    ComposeVariable("VV_GID", "19461", "Group of all parts and of the pipeline's scripts."),
    ComposeVariable("VV_SELF_MONITOR_UID", "19462", "User of the self-monitor."),
    ComposeVariable("VV_DOCKER_PROXY_UID", "19463", "User of the Docker proxy."),
    ComposeVariable("VV_VERSION", "0.1.0", "Tag of the image vv-exporter."),
    ComposeVariable("VV_BASE_IMAGE", "docker.io/library/python:3.13-slim-bookworm", "What it is built from."),
    ComposeVariable("VV_PROMETHEUS_IMAGE", "prom/prometheus:v3.14.0", "Image of Prometheus; `make pin` holds it."),
    ComposeVariable("VV_ALERTMANAGER_IMAGE", "prom/alertmanager:v0.34.0", "Image of Alertmanager, likewise."),
    ComposeVariable("VV_GRAFANA_IMAGE", "grafana/grafana:12.4.10", "Image of Grafana, likewise."),
    ComposeVariable("VV_VMAGENT_IMAGE", "victoriametrics/vmagent:v1.145.0", "Image of the agent of a fleet, likewise."),
    ComposeVariable(
        "VV_FLEET_BYTES_PER_SECOND", "2314", "With compose in the place of VV_FLEET_BYTES_PER_DAY: its 86400th."
    ),
    ComposeVariable("PIP_INDEX_URL", "", "Where its packages come from; default: PyPI."),
)

OF_THE_CENTRE = frozenset(
    {
        "VV_FLEET_PORT",
        "VV_FLEET_RETENTION_MONTHS",
        "VV_FLEET_STORE_MEMORY",
        "VV_VICTORIA_METRICS_IMAGE",
        "VV_VMALERT_IMAGE",
        "VV_VMAUTH_IMAGE",
    }
)
"""What fleet/docker-compose.yml alone reads (docs/fleet.md), from the .env that `vv fleet render` is given as well."""
