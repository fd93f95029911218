"""A day of a device as its store would hold it, for digests: what happened is known to the number."""

from typing import Any

import msgspec

from vv_exporter.common.clock import isoformat
from vv_exporter.delivery.notifications import HISTORY as NOTIFICATIONS
from vv_exporter.digest.samples import HISTORY as SAMPLES
from vv_exporter.digest.samples import Sample, Space
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def notify(store: Store, time: float, name: str, severity: str, component: str, began: float, **more: Any) -> None:
    """A notification of an alert; `ended` says when it ended, `title` what it is called, other keywords are labels."""
    ended, title = more.pop("ended", 0.0), more.pop("title", f"{name} of {component}")
    labels = {"alertname": name, "severity": severity, "component": component, "device": "edge-7", **more}
    body = {
        "status": "resolved" if ended else "firing",
        "labels": labels,
        "annotations": {"summary": title},
        "starts_at": isoformat(began),
        "ends_at": isoformat(ended) if ended else "0001-01-01T00:00:00Z",
        "fingerprint": f"{name}/{component}/{more}",
    }
    with store.transaction() as tx:
        tx.append(NOTIFICATIONS, time, body)


def alert(
    store: Store, name: str, severity: str, component: str, began: float, lasts: float = 0.0, **more: Any
) -> None:
    """An alert that begins, is repeated, and ends after `lasts` seconds (0: not)."""
    for _ in range(2):
        notify(store, began + 1, name, severity, component, began, **more)
    if lasts:
        notify(store, began + lasts + 1, name, severity, component, began, ended=began + lasts, **more)


def sampled(store: Store, time: float, **state: Any) -> None:
    """A sample."""
    with store.transaction() as tx:
        _append(tx, time, **state)


def _append(tx: Transaction, time: float, **state: Any) -> None:
    tx.append(SAMPLES, time, msgspec.to_builtins(Sample(time, **state)))


def failed(store: Store, time: float, video: str, error: str) -> None:
    """A run of a stage that failed on a video."""
    with store.transaction() as tx:
        add_to_timeline(tx, time, Entry("stage.failed", "Stage scan_video failed", "error", "scan_video", error, video))


def day(store: Store, until: float) -> None:
    """The day before `until`:

    - 6 alerts that began: errors that took 12m 3s, 1h, and twice 10m, a critical one that is open, a warning of 30s;
      before that one which is open since, and one that began before and ended within, after 3h;
    - 5 failures on gate-0031.mp4, 2 on yard.mp4; stage scan_video 40 runs, 7 failed, 1 crashed, 2 overran;
    - job cleanup ran 3 times and failed once, job backup was missed twice;
    - the exporter away for 1 h, of which the device was off for 30 min (1 reboot); the DVR front down for 2 h;
    - the disk fills by 24 GB a day, 48 GB are left; 9 events delivered to the webhook, 3 tries failed, 1 given up.
    """
    since = until - DAY
    alert(store, "DiskSpaceLow", "warning", "storage", since - 5 * HOUR, title="Disk /srv/video is filling up")
    alert(
        store,
        "StageStuck",
        "error",
        "summarize_scene",
        since - HOUR,
        3 * HOUR,
        title="summarize_scene is stuck",
    )
    alert(store, "StageFailing", "error", "scan_video", since + HOUR, 12 * MINUTE + 3)
    alert(store, "ContainerDown", "error", "agent_dvr", since + 2 * HOUR, HOUR)
    alert(
        store,
        "DvrUnreachableProlonged",
        "critical",
        "agent_dvr",
        until - 2 * HOUR,
        dvr="front",
        title="DVR front is away",
    )
    alert(store, "HostHighCpu", "warning", "host", since + 5 * HOUR, 30.0)
    for at in (3 * HOUR, 20 * HOUR):
        alert(
            store, "JobMissed", "error", "backup", since + at, 10 * MINUTE, job="backup", title="Job backup was missed"
        )
    for number in range(5):
        failed(store, since + HOUR + number, "/srv/video/input/gate-0031.mp4", "no key frame in 31 s\nsecond line")
    for number in range(2):
        failed(store, since + 2 * HOUR + number, "/srv/video/input/yard.mp4", "moov atom not found")
    boot = since - 9 * DAY
    with store.transaction() as tx:
        for minute in range(-10, int(DAY / MINUTE)):
            time = since + minute * MINUTE
            if 600 <= minute < 660:
                continue
            done = max(minute, 0) / (DAY / MINUTE - 1)
            _append(
                tx,
                time,
                boot=boot if minute < 600 else since + 630 * MINUTE - MINUTE,
                containers={"agent_dvr": int(not 120 <= minute < 180), "scene_scanner": 1},
                dvrs={"front": int(minute < 1320)},
                disks={
                    "/srv/video (video_storage)": Space(72e9 - 24e9 * minute / 1440, 2e12),
                    "/ (system)": Space(1e11, 2e11),
                },
                stages={
                    "scan_video/success": 100 + round(32 * done),
                    "scan_video/failure": 10 + round(7 * done),
                    "scan_video/crashed": round(done),
                    "scan_video/overrun": 1 + round(2 * done),
                    "summarize_scene/success": 90 + round(32 * done),
                },
                jobs={"cleanup/success": 5 + round(2 * done), "cleanup/failure": round(done)},
                sent={
                    "slack/ok": 50 + round(14 * done),
                    "webhook/ok": round(9 * done),
                    "webhook/failed": round(3 * done),
                    "webhook/refused": round(done),
                },
            )
