"""The example pipeline on a real device: it processes real videos and the stream of a real RTSP server; and each way of
breaking it brings exactly its alert to those who are to be told, with the video and the error.

The faults happen side by side, each with a video storage of its own; they share the device: its journal, its exporter,
Prometheus, Alertmanager. One cause is one message. What would be told twice is told by its cause:

- A stage that fails because its JSON or its signature was refused: SchemaValidationFailed, HmacSigningFailed. They
  inhibit StageFailing (alertmanager.yml).
- A stage that fails with one video until it has no attempts left: VideoAttemptsExhausted, which inhibits StageFailing
  as well. When the attempts are minutes apart the first failure is told at once, and that the video was given up later.
- A script that ends in an exception which a stage, a job or a check has reported: theirs. `guard` reports the others.
- A stage that is killed: StageCrashed. The orchestrator counts an attempt, and does not fail itself.
- A logline that was changed: HmacVerificationFailed. The job that found it did what it is for, and succeeds.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.device import Channels, Device, about, of_the_machine
from tests.support.rtsp import RtspServer
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from vv_exporter.stack.demo import SCAN_LIMIT, make_key

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "pipeline"))

from device import Pipeline
from faults import (
    Fault,
    agent,
    failing_job,
    flickering_camera,
    hanging_stage,
    hopeless_video,
    killed_job,
    killed_stage,
    lost_key,
    missed_job,
    refusing_dvr,
    tampered_logline,
    unexpected_folder,
)
from make_videos import any_scenes, make_clip
from notices import AppLog

pytestmark = [pytest.mark.prometheus, pytest.mark.rtsp]

CONFIG = """
jobs:
  log_exporter: {schedule: "* * * * *", grace: 1s}
"""
LIMITS = {"DVR_FROZEN": "10s", "DOCKER_HOST": ""}
PATIENCE = 200  # seconds until the last of them is told: three refused passwords, with pauses of up to a minute
PASSWORD = "pass:w0rd"  # the server's
CRASH = "killed, out of memory, or power lost"


@dataclass(frozen=True)
class Expected:
    """An alert that must come: labels, and words in it."""

    alert: str
    severity: str
    component: str
    words: tuple[str, ...]


EXPECTED = [
    Expected(
        "SchemaValidationFailed",
        "error",
        "scan_video.py",
        ("schema analytic", "flicker-analytic-1.mp4", "/scenes: ", "has more than 60 items"),
    ),
    Expected(
        "SchemaValidationFailed",
        "error",
        "summarize_scene.py",
        ("schema summary", "flicker-summary-1.mp4", "/scenes: ", "has more than 40 items"),
    ),
    Expected(
        "SchemaValidationFailed",
        "error",
        "logline_generator.py",
        ("schema logline", "flicker-logline-1.mp4", "/line: ", "is longer than 500 characters"),
    ),
    Expected(
        "HmacSigningFailed",
        "critical",
        "logline_generator.py",
        ("lobby-1.mp4", "cannot be read: No such file or directory"),
    ),
    Expected("HmacVerificationFailed", "critical", "logline_verifier.py", ("vault-1", "the data was changed")),
    Expected("StageOverdue", "warning", "scan_video", ("past their limit: 1",)),
    Expected("StageCrashed", "error", "scan_video", ("garage-1.mp4", CRASH)),
    Expected("DvrUnreachable", "error", "yard", ("Connection refused",)),
    Expected("DvrAuthenticationFailed", "error", "gate", ("401 Unauthorized",)),
    Expected("DvrStreamFrozen", "error", "roof", ("the latest frame came ",)),
    Expected("UnhandledException", "error", "orchestrator.py", ("cellar-1.mp4", "IsADirectoryError", "pathlib")),
    Expected("VideoAttemptsExhausted", "error", "summarize_scene", ("attic-1.mp4", "Is a directory")),
    Expected("JobMissed", "error", "log_exporter", ("no success of it is known",)),
    Expected("JobFailed", "error", "nightly_backup", ("nas/backup",)),
    Expected("JobCrashed", "error", "hourly_report", (CRASH,)),
]


class Bench:
    """A pipeline of the device with a storage of its own, and what was told: see `faults.Demo`."""

    def __init__(self, name: str, device: Device, channels: Channels, storage: Path, **environ: str) -> None:
        key = storage / name / "keys" / "test.key"
        key.parent.parent.mkdir()
        make_key(key)
        own = {"VIDEO_STORAGE_ROOT": str(storage / name), "VV_HMAC_KEY_FILE": str(key)}
        self.pipeline = Pipeline(device.env | own | environ)
        self._log = AppLog(device.state / "logs" / "app.log")
        self._channels = channels

    def announce(self, what: str, alert: str, within: float) -> None:
        """Nobody watches."""

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line of app.log."""
        return wait_until(
            lambda: next(filter(None, (re.search(pattern, line) for line in self._log.new_lines())), None),
            seconds,
            what=pattern,
        )

    def wait_for_alert(self, fault: Fault, seconds: float) -> None:
        """Wait until the webhook has got it."""
        is_told = about(f'"alertname":"{fault.alert}"', fault.about)
        wait_until(lambda: self._channels.webhook.matching(is_told), PATIENCE, what=f"{fault.alert}, {fault.about}")


@dataclass
class Seen:
    """What there is when everything has been told."""

    alerts: list[dict[str, Any]]
    """Of the webhook, each once."""
    channels: Channels
    storage: Path
    log: str
    events: Callable[[str], float]

    def one(self, expected: Expected) -> dict[str, Any]:
        """The alert, which came once."""
        labels = {"alertname": expected.alert, "component": expected.component}
        (found,) = (alert for alert in self.alerts if labels.items() <= alert["labels"].items())
        return found

    def results(self, video: Path) -> list[dict[str, Any]]:
        """What the stages wrote."""
        kinds = ("analytic", "summary", "logline")
        output = self.storage / "healthy" / "output"
        return [json.loads((output / f"{video.stem}.{kind}.json").read_text()) for kind in kinds]


@pytest.fixture(scope="module")
def seen(programs: Programs, rtsp_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("pipeline")
    storage = folder / "storage"
    storage.mkdir()
    password = folder / "dvr-password"
    password.write_text(PASSWORD + "\n")
    wrong = folder / "wrong-password"
    wrong.write_text("letmein\n")
    with (
        Channels() as channels,
        RtspServer(password=PASSWORD) as dvr,
        RtspServer(method="") as roof,
        Device(folder / "device", channels.environ() | LIMITS, CONFIG) as device,
    ):

        def bench(name: str, **environ: str) -> Bench:
            return Bench(name, device, channels, storage, **environ)

        def wrong_password() -> None:
            access = {"DVR_URL": dvr.url(), "DVR_USERNAME": "viewer", "DVR_PASSWORD_FILE": str(wrong)}
            gate = bench("gate", **access)
            with agent(gate, "gate"):
                gate.wait_for_alert(Fault("", "DvrAuthenticationFailed", "gate", 0), PATIENCE)

        def frozen_stream() -> None:
            # An agent that is patient: it is the exporter that notices.
            bench_ = bench("roof", DVR_URL=roof.url(), FROZEN_SECONDS="30")
            with agent(bench_, "roof"):
                bench_.wait_for_line("DVR roof is connected", 60)
                roof.freeze()
                bench_.wait_for_alert(Fault("", "DvrStreamFrozen", "roof", 0), PATIENCE)

        def missing_job() -> None:
            with missed_job(bench("missed"), "log_exporter"):
                pass

        def healthy() -> None:
            access = {"DVR_URL": dvr.url(), "DVR_USERNAME": "viewer", "DVR_PASSWORD_FILE": str(password)}
            bench_ = bench("healthy", VIDEO_SECONDS="3", **access)
            for codec in ("libx264", "mpeg4"):
                bench_.pipeline.deliver(codec, lambda path, codec=codec: make_clip(path, any_scenes(), codec))
            with agent(bench_, "front"):
                waiting = bench_.pipeline.folder("input")
                wait_until(lambda: len(list(waiting.glob("front-*.mp4"))) > 2, 60, what="videos of the stream")
            for script in ("orchestrator.py", "logline_verifier.py", "cleanup_old_files.py"):
                bench_.pipeline.run(script, *(["30"] if script.startswith("cleanup") else [])).result()

        faults: list[Callable[[], None]] = [
            missing_job,
            wrong_password,
            frozen_stream,
            healthy,
            partial(hanging_stage, bench("hanging", MAX_PROCESSING_TIME_SCAN_VIDEO=SCAN_LIMIT)),
            partial(killed_stage, bench("killed")),
            partial(flickering_camera, bench("analytic"), 70, "analytic"),
            partial(flickering_camera, bench("summary"), 50, "summary"),
            partial(flickering_camera, bench("logline"), 25, "logline"),
            partial(lost_key, bench("key")),
            partial(tampered_logline, bench("tampered")),
            partial(unexpected_folder, bench("unexpected")),
            partial(refusing_dvr, bench("refusing")),
            partial(failing_job, bench("failing-job")),
            partial(killed_job, bench("killed-job")),
        ]
        # Alone at first, so that its three attempts are within the seconds that an alert waits for others.
        began = time.monotonic()
        hopeless_video(bench("hopeless"))
        with ThreadPoolExecutor(len(faults)) as pool:
            for done in [pool.submit(fault) for fault in faults]:
                done.result()
        print(f"all faults were told within {time.monotonic() - began:.0f} s")
        for expected in EXPECTED:
            channels.slack.wait_for(about(expected.component, *expected.words[:1]), 60)
        yield Seen(
            alerts=list(firing(channels)),
            channels=channels,
            storage=storage,
            log=device.app_log(),
            events=lambda promql: sum(float(one["value"][1]) for one in device.query(promql)),
        )


def firing(channels: Channels) -> Iterator[dict[str, Any]]:
    """Each alert that the webhook got, once, but for those about the machine itself."""
    known = set()
    for request in channels.webhook.received:
        for alert in request.json["alerts"]:
            if alert["fingerprint"] not in known and not of_the_machine(alert):
                known.add(alert["fingerprint"])
                yield alert


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda one: f"{one.alert}-{one.component}")
def test_each_fault_brings_its_alert_with_the_video_and_the_error(seen: Seen, expected: Expected) -> None:
    alert = seen.one(expected)

    text = alert["annotations"]["summary"] + alert["annotations"]["description"]
    assert [word for word in expected.words if word not in text] == [], text
    assert alert["labels"]["severity"] == expected.severity


def test_no_other_alert_comes(seen: Seen) -> None:
    told = [(alert["labels"]["alertname"], alert["labels"]["component"]) for alert in seen.alerts]

    assert sorted(told) == sorted((one.alert, one.component) for one in EXPECTED)
    assert re.findall(r"ALERT FIRING \w+ StageFailing", seen.log) == []


def test_people_are_paged_for_what_is_critical_and_for_nothing_else(seen: Seen) -> None:
    pages = [request.json["payload"] for request in seen.channels.pagerduty.received if "payload" in request.json]

    assert {page["custom_details"]["component"].strip() for page in pages} == {
        "logline_generator.py",
        "logline_verifier.py",
    }
    assert seen.channels.violations() == []


def test_what_is_damaged_lies_in_corrupted_with_its_history(seen: Seen) -> None:
    found = {path.parent.parent.name: json.loads(path.read_text()) for path in seen.storage.glob("*/corrupted/*.json")}
    reasons = {name: about["error_type"] for name, about in found.items() if name != "tampered"}

    assert reasons == {
        "analytic": "SchemaValidationError",
        "summary": "SchemaValidationError",
        "logline": "SchemaValidationError",
        "unexpected": "IsADirectoryError",
        "hopeless": "attempts_exhausted",
    }
    assert [attempt["component"] for attempt in found["hopeless"]["attempts"]] == ["orchestrator.py"] * 3
    assert all("Is a directory" in attempt["error"] for attempt in found["hopeless"]["attempts"])


def test_a_video_that_was_killed_or_hung_or_could_not_be_signed_is_not_lost(seen: Seen) -> None:
    assert (seen.storage / "killed" / "input" / "garage-1.mp4").exists()
    assert (seen.storage / "key" / "processed" / "lobby-1.mp4").exists()
    assert "lobby-1.mp4: done" in seen.log
    wait_until(lambda: (seen.storage / "hanging" / "processed" / "garden-1.mp4").exists(), 60)


def test_the_healthy_pipeline_processes_files_and_the_stream_of_a_dvr(seen: Seen) -> None:
    processed = sorted((seen.storage / "healthy" / "processed").iterdir())

    assert [path.name for path in processed[-2:]] == ["libx264-1.mp4", "mpeg4-2.mp4"]
    assert len(processed) >= 5
    for video in processed:
        analytic, summary, logline = seen.results(video)
        assert analytic["frames"] >= 1
        assert len(summary["scenes"]) == len(analytic["scenes"])
        assert logline["signature"]["key_id"] == "test"
    assert list((seen.storage / "healthy" / "input").iterdir()) == []
    streamed = [seen.results(video)[0] for video in processed[:-2]]
    assert {(one["width"], one["height"], one["codec"]) for one in streamed} == {(160, 120, "h264")}
    assert seen.events('vv_dvr_frames_total{dvr="front"}') >= sum(one["frames"] for one in streamed)


def test_no_password_is_told(seen: Seen) -> None:
    assert PASSWORD not in seen.log
    assert "letmein" not in seen.log
    for request in seen.channels.webhook.received:
        assert b"letmein" not in request.body
