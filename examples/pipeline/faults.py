"""The ways in which the pipeline is broken, from outside: its scripts know nothing of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

from device import HERE, Pipeline
from make_videos import any_scenes, make_clip, make_cut_off, make_flicker

from vv_core.alerter import send_alert
from vv_exporter.footage.words import length, words
from vv_exporter.language import gettext as _

PIECE = 10.0  # seconds within which there is footage when the DVR is there
OFF = 15.0  # seconds for which a DVR is off at least
SHOWN_WITHIN = 240.0  # seconds: it is missing when it is two minutes late and the longest piece
LONG = 120  # seconds of video that take scan_video a second or more
VV = Path(sys.executable).with_name("vv")


@dataclass(frozen=True)
class Fault:
    """Something that went wrong at a time (Unix seconds), and the alert that must tell of it, and of `about`."""

    what: str
    alert: str
    about: str
    since: float


class Demo(Protocol):
    """What a fault needs of those who watch it."""

    pipeline: Pipeline

    def announce(self, what: str, alert: str, within: float) -> None:
        """Tell what happens now, and what to expect."""

    def tell(self, what: str) -> None:
        """Tell what is there to see."""

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line of ``app.log``. Raises `TimeoutError`."""

    def wait_for_alert(self, fault: Fault, seconds: float) -> None:
        """Wait until a fault is told."""

    def pause(self) -> None:
        """Let a moment pass, in which what is told is seen."""


def raised_alert(demo: Demo) -> None:
    """A script raises an alert."""
    title = _("Recording has stopped")
    demo.announce(_('a script calls send_alert("CRITICAL", "{title}", …)').format(title=title), "VVEvent", 10)
    fault = Fault(_("a script raises a CRITICAL alert"), "VVEvent", title, time.time())
    send_alert(
        "CRITICAL",
        title,
        {_("camera"): "front-door", _("last frame"): _clock(time.time())},
        "demo.py",
        suggested_actions=[_("Nothing to do: this is the demo")],
    )
    demo.wait_for_alert(fault, 30)


def corrupt_video(demo: Demo) -> None:
    """A video that is cut off."""
    name = demo.pipeline.deliver("cut-off", make_cut_off)
    demo.announce(
        _("{name} is only the first part of a video: scan_video refuses it").format(name=name), "StageFailing", 20
    )
    demo.pipeline.run("orchestrator.py").result()
    demo.wait_for_alert(Fault(_("a corrupt video, {name}").format(name=name), "StageFailing", name, time.time()), 60)


def flickering_camera(demo: Demo, scenes: int = 25, schema: str = "logline") -> None:
    """A video with more scenes than a schema foresees."""
    name = demo.pipeline.deliver(f"flicker-{schema}", partial(make_flicker, scenes=scenes))
    demo.announce(
        _("{name} has too many scenes ({scenes}): its {schema} is not valid").format(
            name=name, scenes=scenes, schema=schema
        ),
        "SchemaValidationFailed",
        20,
    )
    demo.pipeline.run("orchestrator.py").result()
    fault = Fault(
        _("{name}: its {schema} is not valid").format(name=name, schema=schema),
        "SchemaValidationFailed",
        name,
        time.time(),
    )
    demo.wait_for_alert(fault, 60)


def lost_key(demo: Demo) -> None:
    """The key that signs is not where it should be. When it is back, the next run signs."""
    key = Path(demo.pipeline.environ["VV_HMAC_KEY_FILE"])
    away = key.rename(key.with_suffix(".away"))
    try:
        name = demo.pipeline.deliver("lobby", lambda path: make_clip(path, any_scenes(1)))
        demo.announce(
            _("the key is gone: the logline of {name} cannot be signed").format(name=name), "HmacSigningFailed", 20
        )
        demo.pipeline.run("orchestrator.py").result()
        demo.wait_for_alert(Fault(_("the key is gone"), "HmacSigningFailed", name, time.time()), 60)
    finally:
        away.rename(key)
    demo.pipeline.run("orchestrator.py").result()
    demo.wait_for_line(f"{name}: done", 60)


def tampered_logline(demo: Demo) -> None:
    """Somebody changes what a camera is said to have seen."""
    name = demo.pipeline.deliver("vault", lambda path: make_clip(path, any_scenes(1)))
    demo.pipeline.run("orchestrator.py")
    demo.wait_for_line(f"{name}: done", 60)
    logline = demo.pipeline.folder("output") / f"{Path(name).stem}.logline.json"
    logline.write_text(logline.read_text().replace('"line": "', '"line": "no alarm: '))
    demo.announce(_("somebody changes {file}").format(file=logline.name), "HmacVerificationFailed", 20)
    demo.pipeline.run("logline_verifier.py").result()
    fault = Fault(
        _("{file} was changed").format(file=logline.name), "HmacVerificationFailed", Path(name).stem, time.time()
    )
    demo.wait_for_alert(fault, 60)


def killed_stage(demo: Demo) -> None:
    """SIGKILL in the middle of a video; the next run takes it again."""
    name, pid = _scanning(demo, "garage")
    demo.announce(_("killing scan_video in the middle of {name}").format(name=name), "StageCrashed", 30)
    os.kill(pid, signal.SIGKILL)
    demo.wait_for_alert(
        Fault(_("scan_video killed in the middle of {name}").format(name=name), "StageCrashed", name, time.time()), 60
    )


def hanging_stage(demo: Demo) -> None:
    """A stage that hangs, until its alert is there: then it goes on where it was."""
    name, pid = _scanning(demo, "garden")
    limit = demo.pipeline.environ["MAX_PROCESSING_TIME_SCAN_VIDEO"]
    demo.announce(
        _("scan_video hangs in the middle of {name}; its limit is {limit}").format(name=name, limit=limit),
        "StageOverdue",
        30,
    )
    with _stopped(pid):
        fault = Fault(
            _("scan_video hangs; its limit is {limit}").format(limit=limit), "StageOverdue", "scan_video", time.time()
        )
        demo.wait_for_alert(fault, 60)


def hopeless_video(demo: Demo) -> None:
    """A stage that fails with a video at each of three runs: a folder lies where its result belongs."""
    name = demo.pipeline.deliver("attic", lambda path: make_clip(path, any_scenes(1)))
    taken = demo.pipeline.folder("output") / f"{Path(name).stem}.summary.json"
    taken.mkdir()
    demo.announce(_("summarize_scene fails with {name} three times").format(name=name), "VideoAttemptsExhausted", 20)
    for _run in range(3):
        demo.pipeline.run("orchestrator.py").result()
    fault = Fault(_("{name} fails three times").format(name=name), "VideoAttemptsExhausted", name, time.time())
    demo.wait_for_alert(fault, 60)
    taken.rmdir()


def unexpected_folder(demo: Demo) -> None:
    """What nobody thought of: a folder lies where a video belongs that is done."""
    name = demo.pipeline.deliver("cellar", lambda path: make_clip(path, any_scenes(1)))
    taken = demo.pipeline.folder("processed") / name
    taken.mkdir()
    demo.announce(
        _("the orchestrator cannot move {name}, and does not expect that").format(name=name), "UnhandledException", 20
    )
    demo.pipeline.run("orchestrator.py").result()
    demo.wait_for_alert(Fault(_("an exception nobody handles"), "UnhandledException", name, time.time()), 60)
    taken.rmdir()


def failing_job(demo: Demo) -> None:
    """A cron job that fails: its disk is not there."""
    target = demo.pipeline.folder("output").parent / "nas" / "backup"
    demo.announce(_("vv cron runs a backup to a disk that is not there"), "JobFailed", 20)
    command = ["cp", "--recursive", str(demo.pipeline.folder("output")), str(target)]
    _cron(demo, "nightly_backup", *command).communicate()
    demo.wait_for_alert(Fault(_("a cron job fails"), "JobFailed", "nightly_backup", time.time()), 60)


def killed_job(demo: Demo) -> None:
    """A cron job that is killed outright, with what watches over it."""
    marker = demo.pipeline.folder("output") / "hourly_report.begun"
    cron = _cron(demo, "hourly_report", "sh", "-c", 'echo $$ > "$0"; exec sleep 60', str(marker))
    end = time.monotonic() + 30
    while not (pid := marker.read_text() if marker.exists() else "") and time.monotonic() < end:
        time.sleep(0.05)
    demo.announce(_("killing vv cron in the middle of a job"), "JobCrashed", 30)
    for victim in (cron.pid, int(pid)):
        os.kill(victim, signal.SIGKILL)
    cron.communicate()
    marker.unlink()
    demo.wait_for_alert(Fault(_("a cron job is killed"), "JobCrashed", "hourly_report", time.time()), 60)


@contextlib.contextmanager
def missed_job(demo: Demo, name: str) -> Iterator[None]:
    """A job that nobody runs. It takes a minute or two, in which other things may go wrong."""
    due = _due(demo, name)
    at = _clock(due)
    demo.announce(
        _("nobody runs {name}, which is due at {at} (grace 10 s, the rule waits 30 s)").format(name=name, at=at),
        "JobMissed",
        120,
    )
    yield
    demo.wait_for_alert(
        Fault(_("{name} is due at {at}, nobody runs it").format(name=name, at=at), "JobMissed", name, due), 150
    )


@contextlib.contextmanager
def missing_footage(demo: Demo, camera: str, dvr_off: Event) -> Iterator[None]:
    """A camera whose DVR is off for a while. That footage is missing is known when it is too late for it, in two
    minutes or three: other things may go wrong meanwhile."""
    _pause_for(demo, PIECE)  # so that there is footage before
    demo.announce(_("the DVR of {camera} is switched off").format(camera=camera), "DvrUnreachable", 30)
    since = time.time()
    dvr_off.set()
    demo.wait_for_alert(Fault(_("a DVR is off"), "DvrUnreachable", camera, since), 60)
    _pause_for(demo, since + OFF - time.time())
    dvr_off.clear()
    until = time.time()
    yield
    demo.tell(_("recordings may come late: what {camera} lacks is known in about two minutes").format(camera=camera))
    end = time.monotonic() + SHOWN_WITHIN
    while (lost := _lost(demo, camera, since, until)) is None and time.monotonic() < end:
        demo.pause()
    if lost is None:
        demo.tell(_("{camera}: the missing footage is not shown").format(camera=camera))
    else:
        text = _("{length} of {camera} are missing, from {start} to {end}: {cause}; see {url}")
        demo.tell(text.format(camera=camera, url=f"http://127.0.0.1:{_port(demo)}/footage", **lost))


def refusing_dvr(demo: Demo) -> None:
    """A DVR that is switched off."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"rtsp://127.0.0.1:{nobody.getsockname()[1]}/live"
        demo.announce(_("agent_dvr asks a DVR that is off for its stream"), "DvrUnreachable", 30)
        since = time.time()
        with agent(demo, "yard", DVR_URL=url):
            demo.wait_for_alert(Fault(_("a DVR is off"), "DvrUnreachable", "yard", since), 60)


@contextlib.contextmanager
def agent(demo: Demo, dvr: str, **environ: str) -> Iterator[None]:
    """A running agent_dvr.py."""
    process = subprocess.Popen([sys.executable, HERE / "agent_dvr.py", dvr], env=demo.pipeline.environ | environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _pause_for(demo: Demo, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        demo.pause()


TOUR = (raised_alert, corrupt_video, flickering_camera, tampered_logline, killed_stage, hanging_stage, failing_job)


def _scanning(demo: Demo, camera: str) -> tuple[str, int]:
    """A long video that is being scanned now, and the process that does it."""
    name = demo.pipeline.deliver(camera, lambda path: make_clip(path, any_scenes(LONG)))
    demo.pipeline.run("orchestrator.py")
    line = demo.wait_for_line(rf"scan_video\.py\[(\d+)\] {name}: scanning", 60)
    return name, int(line[1])


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _cron(demo: Demo, job: str, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [VV, "cron", "--job", job, "--", *command],
        env=demo.pipeline.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _due(demo: Demo, job: str) -> float:
    """When a job is due, as the exporter has it."""
    (value,) = re.findall(
        rf'^vv_job_next_due_timestamp_seconds{{job="{job}"}} (\S+)', _get(demo, "/metrics"), re.MULTILINE
    )
    return float(value)


def _lost(demo: Demo, camera: str, since: float, until: float) -> dict[str, str] | None:
    """What of a camera's footage is missing behind `since`, in words, once it is too late for what was recorded after
    `until`; None before, and while the exporter does not answer."""
    try:
        cameras = json.loads(_get(demo, "/api/v1/footage"))["cameras"]
    except OSError:
        return None
    for found in cameras:
        holes = [hole for hole in found["missing"] if hole["end"] > since]
        if found["dvr"] == camera and found["due"] > until + PIECE and holes:
            one = holes[0]
            return {
                "length": length(one["end"] - one["start"]),
                "start": _clock(one["start"]),
                "end": _clock(one["end"]),
                "cause": words(one["cause"], one["detail"]),
            }
    return None


def _get(demo: Demo, path: str) -> str:
    url = f"http://127.0.0.1:{_port(demo)}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _port(demo: Demo) -> str:
    return demo.pipeline.environ.get("VV_EXPORTER_PORT", "19461")


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(at))
