"""What hides what, and nothing else does: every alert beside every other, in a real Alertmanager with the inhibitions
as they are rendered. All pairs are asked for at once; who would be told is another matter, so that nobody is.

Alerts have the labels that their unit tests prove (`tests/rules/`). A pair shares a device, of its own, and its
subject: where both have a label, they have the same value; and, in a second round, each another one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.support.proofs import proofs
from tests.support.servers import Alertmanager, Programs
from tests.support.waiting import wait_until
from vv_exporter.render import render
from vv_exporter.settings import load

pytestmark = pytest.mark.prometheus

SUBJECT = ("name", "stage", "job", "role", "path", "dvr", "collector", "loop", "instance", "component")
CONTAINERS = {
    "ContainerDown",
    "ContainerFailedPersistently",
    "ContainerHighCpu",
    "ContainerHighMemory",
    "ContainerOomKilled",
    "ContainerPaused",
    "ContainerRestarting",
    "ContainerUnhealthy",
}
# What each alert hides where the subject is the same.
HIDES: dict[str, set[str]] = {
    "DiskSpaceCritical": {"DiskSpaceLow", "DiskFillingUp", "IngestPaused"},
    "FilesystemReadOnly": {"StorageUnavailable", "PipelineStalled", "BacklogGrowing", "IngestPaused"},
    "StorageUnavailable": {"DiskSpaceCritical", "DiskSpaceLow", "DiskFillingUp", "InodesLow", "CollectorFailing"}
    | {"PipelineStalled", "BacklogGrowing", "IngestPaused"},
    "StorageMissing": {"DiskSpaceCritical", "DiskSpaceLow", "DiskFillingUp", "InodesLow", "CollectorFailing"}
    | {"PipelineStalled", "BacklogGrowing", "IngestPaused", "StorageUnavailable", "FilesystemReadOnly"},
    "DockerUnreachable": CONTAINERS | {"SelfMonitorMissing", "SelfMonitorStalled", "DockerPartlyUnresponsive"},
    "ContainerFailedPersistently": {"ContainerDown", "ContainerUnhealthy", "ContainerRestarting"},
    "DvrUnreachableProlonged": {"DvrUnreachable", "DvrAuthenticationFailed", "DvrStreamFrozen", "DvrFlapping"},
    "DvrAuthenticationFailed": {"DvrUnreachable", "DvrStreamFrozen"},
    "DvrUnreachable": {"DvrStreamFrozen", "DvrFlapping"},
    "DvrAgentGone": {"DvrFlapping"},
    "SchemaValidationFailed": {"StageFailing"},
    "HmacSigningFailed": {"StageFailing"},
    "HmacVerificationFailed": {"StageFailing"},
    "VideoAttemptsExhausted": {"StageFailing"},
    "StageStuck": {"StageOverdue"},
    "JobMissed": {"JobRunningTooLong"},
    "ExporterDown": {"CollectorFailing", "EventsLagging", "ExporterLoopStalled", "ExporterRestarting", "RelayFailing"}
    | {"NotificationsFailing"},
    "AlertmanagerDown": {"RelayFailing", "NotificationsFailing"},
    "HostRebooting": {"ExporterRestarting", "ServerRestarting"},
}
# Those that hide the same for the whole device, whatever the subject of what they hide.
WHOLE_DEVICE = {
    "DiskSpaceCritical": {"IngestPaused"},
    "FilesystemReadOnly": {"PipelineStalled", "BacklogGrowing", "IngestPaused"},
    "StorageUnavailable": {"PipelineStalled", "BacklogGrowing", "IngestPaused", "CollectorFailing"},
    "StorageMissing": {"PipelineStalled", "BacklogGrowing", "IngestPaused", "CollectorFailing"},
    "DockerUnreachable": HIDES["DockerUnreachable"],
    "ExporterDown": HIDES["ExporterDown"],
    "HostRebooting": HIDES["HostRebooting"],
    "AlertmanagerDown": HIDES["AlertmanagerDown"],
}
ORDER = ("critical", "error", "warning", "info")
# Of those that have several by their labels: the disk of the videos, the collector that looks at it.
FIXED = {
    "DiskSpaceCritical": {"role": "video_storage", "path": "/data"},
    "FilesystemReadOnly": {"role": "video_storage", "path": "/data"},
    "StorageUnavailable": {"role": "video_storage", "path": "/data"},
    "StorageMissing": {"role": "video_storage", "path": "/data"},
    "CollectorFailing": {"collector": "storage"},
}
EVENTS = [
    {"alertname": "VVEvent", "severity": severity, "component": "demo.py", "title": "T", "alert_key": severity}
    for severity in ORDER
]

BATCH = 500

Labels = dict[str, str]


def every_alert() -> list[Labels]:
    """Each alert in each of its severities, those of scripts included, without a device."""
    found = {(proof.alert, proof.severity): proof.labels for proof in proofs()}
    return [
        {name: value for name, value in (labels | FIXED.get(labels["alertname"], {})).items() if name != "device"}
        for labels in [*found.values(), *EVENTS]
    ]


def is_hidden(target: Labels, source: Labels, same: bool) -> bool:
    """Whether the one is to be hidden by the other."""
    hidden = (HIDES if same else WHOLE_DEVICE).get(source["alertname"], set())
    if target["alertname"] in hidden:
        return True
    # The same alert at two severities: the worse one speaks.
    worse = ORDER.index(source["severity"]) < ORDER.index(target["severity"])
    alone = ("VVEvent", "Drill")  # each is an alert of its own
    return same and source["alertname"] == target["alertname"] not in alone and worse


def pairs(same: bool) -> Iterator[tuple[str, Labels, Labels]]:
    """Device, and two alerts on it."""
    alerts = [labels for labels in every_alert() if labels["severity"] in ORDER]
    for number, (one, other) in enumerate(itertools.combinations(alerts, 2)):
        device = f"{'same' if same else 'other'}-{number}"
        shared = {name for name in SUBJECT if name in one and name in other}
        moved = {name: one[name] if same else f"{other[name]}-2" for name in shared}
        yield device, one | {"device": device}, other | moved | {"device": device}


@pytest.fixture(scope="module")
def alertmanager(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("inhibitions")
    render(load({"VV_STATE_DIR": str(folder / "state")}), folder / "config")
    config = folder / "config" / "alertmanager.yml"
    document = yaml.safe_load(config.read_text())
    document["route"] = {"receiver": "nobody"}
    config.write_text(yaml.safe_dump(document))
    with Alertmanager(config, folder / "alertmanager", programs) as alertmanager:
        yield alertmanager


@pytest.fixture(scope="module")
def hidden(alertmanager: Alertmanager) -> set[tuple[str, str, str]]:
    """Device, alert and severity of all that are inhibited."""
    raised = [labels for same in (True, False) for _, *both in pairs(same) for labels in both]
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for start in range(0, len(raised), BATCH):
        batch = [{"labels": labels, "endsAt": ends} for labels in raised[start : start + BATCH]]
        alertmanager.post("/api/v2/alerts", batch)

    def inhibited() -> set[tuple[str, str, str]]:
        found: list[dict[str, Any]] = alertmanager.alerts()
        assert len(found) == len(raised)
        return {key(alert["labels"]) for alert in found if alert["status"]["inhibitedBy"]}

    expected = expected_hidden(True) | expected_hidden(False)
    with contextlib.suppress(AssertionError):  # the tests say in what it differs
        wait_until(lambda: inhibited() == expected, 60)
    return inhibited()


def key(labels: Labels) -> tuple[str, str, str]:
    return labels["device"], labels["alertname"], labels["severity"]


def expected_hidden(same: bool) -> set[tuple[str, str, str]]:
    return {
        key(target)
        for _, one, other in pairs(same)
        for target, source in ((one, other), (other, one))
        if is_hidden(target, source, same)
    }


def described(keys: set[tuple[str, str, str]], same: bool) -> list[str]:
    """Pairs in words."""
    beside = {device: (one, other) for device, one, other in pairs(same)}
    return sorted(
        f"{alert} {severity} beside "
        + next(
            f"{labels['alertname']} {labels['severity']}"
            for labels in beside[device]
            if key(labels) != (device, alert, severity)
        )
        for device, alert, severity in keys
        if device in beside
    )


@pytest.mark.parametrize("same", [True, False], ids=["of the same subject", "of another subject"])
def test_what_is_hidden_is_what_should_be(hidden: set[tuple[str, str, str]], same: bool) -> None:
    assert described(hidden, same) == described(expected_hidden(same), same)


def test_every_alert_that_is_named_here_is_in_the_matrix() -> None:
    known = {labels["alertname"] for labels in every_alert()}

    assert set(HIDES) | set().union(*HIDES.values()) <= known


def test_another_device_hides_nothing(alertmanager: Alertmanager) -> None:
    """Each that hides something on one device, and what it hides on the next."""
    by_name = {labels["alertname"]: labels for labels in every_alert()}
    raised = [
        by_name[name] | {"device": f"{side}-{source}-{target}"}
        for source, targets in HIDES.items()
        for target in targets
        for side, name in (("here", source), ("there", target))
    ]
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    alertmanager.post("/api/v2/alerts", [{"labels": labels, "endsAt": ends} for labels in raised])

    wanted = {key(labels) for labels in raised}
    wait_until(lambda: wanted <= {key(alert["labels"]) for alert in alertmanager.alerts()}, 30)
    found = [alert for alert in alertmanager.alerts() if key(alert["labels"]) in wanted]
    assert [key(alert["labels"]) for alert in found if alert["status"]["inhibitedBy"]] == []
