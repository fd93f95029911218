"""The demo: the pipeline at work, broken in several ways, and each alert as it comes. ``make demo`` runs it.

With ``healthy`` as argument nothing is broken.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import NoReturn

from device import Pipeline
from faults import TOUR, Fault, missed_job, missing_footage
from make_videos import any_scenes, make_clip
from notices import AppLog, Notice, parse

from vv_core.dvr import DvrLink
from vv_core.footage import recorded
from vv_exporter.language import ENGLISH, decimal, speaking_everywhere
from vv_exporter.language import gettext as _

CAMERA = "front-door"
PAUSE = 3.0
FRAME = 0.5
LOOK = 0.03
KEEP_DAYS = "0.01"
ENDINGS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):  # noqa: N818 - not an error
    """Somebody asked for the end."""


class Agent(threading.Thread):
    """Gets the stream of the camera's DVR, which can be switched off, and reports that as agents do."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="agent", daemon=True)
        self._stop_asked = stop
        self.dvr_off = threading.Event()

    def run(self) -> None:
        """Go on until the end is asked for."""
        link = DvrLink(CAMERA, component="agent_dvr.py", longest_pause=2)
        for attempt in link.attempts():
            with attempt:
                while not self._stop_asked.wait(FRAME):
                    if self.dvr_off.is_set():
                        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
                    link.frame()
                link.close()


class Camera(threading.Thread):
    """A new video every few seconds, and cron, which runs the jobs that take care of it."""

    def __init__(self, pipeline: Pipeline, agent: Agent, stop: threading.Event) -> None:
        super().__init__(name="camera", daemon=True)
        self._pipeline = pipeline
        self._agent = agent
        self._stop_asked = stop
        self.exports = False

    def run(self) -> None:
        """Go on until the end is asked for."""
        since = time.time()
        while not self._stop_asked.wait(PAUSE):
            if self._agent.dvr_off.is_set():
                since = time.time()
                continue
            name = self._pipeline.deliver(CAMERA, lambda path: make_clip(path, any_scenes()))
            since, before = time.time(), since
            recorded(CAMERA, before, since, video=self._pipeline.folder("input") / name, component="agent_dvr.py")
            self._pipeline.run("orchestrator.py")
            self._pipeline.run("logline_verifier.py")
            if self.exports:
                self._pipeline.run("log_exporter.py", str(self._pipeline.folder("export")))
            self._pipeline.run("cleanup_old_files.py", KEEP_DAYS).result()


class Tour:
    """Tells what happens, and each alert as it arrives."""

    def __init__(self, log: AppLog, pipeline: Pipeline, agent: Agent) -> None:
        self.pipeline = pipeline
        self._agent = agent
        self._log = log
        self._arrived: list[Notice] = []
        self._told: list[tuple[Fault, float | None]] = []

    def run(self) -> None:
        """Show every fault, then the result."""
        say("demo", _("the pipeline gets a new video every few seconds; now it is broken in several ways"))
        with missed_job(self, "log_exporter"), missing_footage(self, CAMERA, self._agent.dvr_off):
            for fault in TOUR:
                self.pause()
                try:
                    fault(self)
                except TimeoutError as error:
                    say("demo", _("this fault cannot be shown: {error}").format(error=error))
        title = _("the tour is over; this is how long it took until each fault was told:")
        say("demo", f"{title}\n{table(self._told)}")

    def watch(self) -> NoReturn:
        """Show alerts until the end."""
        while True:
            self._look()

    def announce(self, what: str, alert: str, within: float) -> None:
        """Tell what happens now, and what to expect."""
        expected = _("{what} → expect {alert} within {seconds} s")
        say("demo", expected.format(what=what, alert=alert, seconds=round(within)))

    def tell(self, what: str) -> None:
        """Tell what is there to see."""
        say("demo", what)

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line of ``app.log``. Raises `TimeoutError`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self._look():
                if found := re.search(pattern, line):
                    return found
        raise TimeoutError(f"no line of app.log says {pattern!r} within {seconds:.0f} s")

    def wait_for_alert(self, fault: Fault, seconds: float) -> None:
        """Wait until a fault is told, and note how long that took."""
        while (seen := self._seen(fault)) is None and time.time() < fault.since + seconds:
            self._look()
        took = None if seen is None else seen - fault.since
        self._told.append((fault, took))
        if took is None:
            say("demo", _("{alert} DID NOT COME").format(alert=fault.alert))
        else:
            say("demo", _("{alert} took {seconds} s").format(alert=fault.alert, seconds=decimal(f"{took:.1f}")))

    def pause(self) -> None:
        """Let a moment pass, in which what is told is shown."""
        end = time.monotonic() + PAUSE
        while time.monotonic() < end:
            self._look()

    def _seen(self, fault: Fault) -> float | None:
        for notice in self._arrived:
            if notice.firing and notice.alert == fault.alert and fault.about in notice.title + notice.details:
                return notice.at
        return None

    def _look(self) -> list[str]:
        time.sleep(LOOK)
        lines = self._log.new_lines()
        for notice in filter(None, map(parse, lines)):
            self._arrived.append(notice)
            show(notice)
        return lines


def say(who: str, text: str) -> None:
    """Print a line with the time: UTC, as in alerts and logs."""
    print(f"{time.strftime('%H:%M:%SZ', time.gmtime())}  {who:<8}  {text}", flush=True)


def show(notice: Notice) -> None:
    """Print a notification."""
    lines = [f"{notice.severity} {notice.alert}: {notice.title}"]
    if notice.firing:
        for line in notice.details.splitlines():
            lines += textwrap.wrap(line, 96, break_long_words=False, break_on_hyphens=False)
    say(_("ALERT") if notice.firing else _("resolved"), ("\n" + " " * 21).join(lines))


def table(told: list[tuple[Fault, float | None]]) -> str:
    """Fault, alert, seconds."""
    rows = [(_("fault"), _("alert"), _("seconds"))]
    rows += [(fault.what, fault.alert, "-" if took is None else decimal(f"{took:.1f}")) for fault, took in told]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)
    return textwrap.indent("\n".join(lines), "    ")


def end(*_: object) -> NoReturn:
    """Handle a signal. It sets no event: whoever is interrupted in the middle of waiting for it would wait for ever."""
    raise Stopped


def main(mode: str) -> int:
    """Run the pipeline until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    pipeline = Pipeline()
    agent = Agent(stop)
    camera = Camera(pipeline, agent, stop)
    camera.exports = mode == "healthy"
    tour = Tour(AppLog(Path(os.environ["VV_LOG_DIR"]) / "app.log"), pipeline, agent)
    try:
        for number in ENDINGS:
            signal.signal(number, end)
        agent.start()
        camera.start()
        if mode != "healthy":
            tour.run()
            camera.exports = True
        say("demo", _("the pipeline is at work; app.log shows it, Ctrl-C ends it"))
        tour.watch()
    except Stopped:
        return 0
    finally:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        stop.set()
        pipeline.end()


if __name__ == "__main__":
    with speaking_everywhere(os.environ.get("VV_LANGUAGE") or ENGLISH):
        sys.exit(main(*sys.argv[1:] or ["faults"]))
