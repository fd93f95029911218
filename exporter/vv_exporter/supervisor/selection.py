"""Which containers the self-monitor may restart. Nothing, unless the settings say so; see docs/self-monitor.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from vv_exporter.containers.records import ContainerRecord
from vv_exporter.settings import Settings

MONITORING = frozenset(
    {
        "alertmanager",
        "blackbox-exporter",
        "docker-socket-proxy",
        "grafana",
        "grafana-enterprise",
        "grafana-oss",
        "node-exporter",
        "prometheus",
        "victoria-metrics",
        "vmagent",
        "vv-exporter",
        "vv-self-monitor",
    }
)
"""Images of the monitoring itself, by the last part of their name: never touched, whatever the configuration says."""


class Candidate(Protocol):
    """What a container is chosen by."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def opted(self) -> str: ...
    @property
    def auto_remove(self) -> bool: ...


def supervised(record: Candidate, settings: Settings, own_id: str, own_image: str = "") -> bool:
    """Whether the self-monitor watches over this container. `own_id` is that of its own container, "" outside.

    The exporter and the proxy run from `own_image`, too, whatever the deployment calls it.
    """
    if record.opted == "false" or record.auto_remove or (own_id and record.id.startswith(own_id)):
        return False
    if image_name(record.image) in MONITORING or (own_image and record.image == own_image):
        return False
    chosen = settings.self_monitor
    return record.opted == "true" or record.name in chosen.containers or record.project in chosen.projects


def must_run(record: ContainerRecord, settings: Settings) -> bool:
    """Whether it has to run even if it ended well by itself: it is listed by name."""
    listed = (settings.containers.essential, settings.containers.expected, settings.self_monitor.containers)
    return any(record.name in names for names in listed)


def image_name(image: str) -> str:
    """The last part of an image's name: `prometheus` of `registry:5000/prom/prometheus:v3@sha256:…`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def own_container(mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The id of the container that this process runs in, "" outside one.

    The Engine mounts files of `…/containers/<id>/` over /etc/hostname and others, with either version of cgroups.
    """
    try:
        found = re.search(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ", mountinfo.read_text())
    except OSError:
        return ""
    return found[1] if found else ""
