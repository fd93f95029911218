"""Job orchestrator: take each new video in ``input/`` through the stages.

    * * * * *  flock -n /run/lock/orchestrator orchestrator.py

Shows `Attempts`: a stage that fails is tried again at the next run, and after three times the video is put aside with
the history of its failures. A video's trouble is not the job's: `guard` keeps what nobody expected from the others.
"""

import os
import signal
import subprocess
import sys
from logging import Logger
from pathlib import Path

from storage import VIDEOS, folder

from vv_core.attempts import Attempts
from vv_core.guard import guard
from vv_core.jobs import job
from vv_core.logs import setup_logging

STAGES = ("scan_video", "summarize_scene", "logline_generator")
HERE = Path(__file__).parent


def main() -> None:
    """Take what is there."""
    log = setup_logging("orchestrator.py")
    with job("orchestrator"):
        for video in new_videos():
            with guard(video=video, quarantine=True, then="continue"):
                take(video, log)


def new_videos() -> list[Path]:
    """The videos that wait, the oldest first."""
    waiting = [path for path in folder("input").iterdir() if path.suffix in VIDEOS]
    return sorted(waiting, key=lambda path: path.stat().st_mtime)


def take(video: Path, log: Logger) -> None:
    """Take a video through the stages; it ends in ``processed/``, in ``corrupted/``, or waits for the next run."""
    attempts = Attempts(video)
    for name in STAGES:
        if attempts.exhausted(name):
            return
        with attempts.attempt(name) as attempt:
            code, error = run(name, video)
            if code:
                attempt.fail(error)
        if code:
            log.error("%s: %s: %s", video.name, name, error)
            if code == os.EX_TEMPFAIL:  # the device's trouble is not held against the video
                attempts.clear(name)
            return
    video.replace(folder("processed") / video.name)
    log.info("%s: done", video.name)


def run(name: str, video: Path) -> tuple[int, str]:
    """Run a stage; its exit code and, unless that is 0, what went wrong."""
    command = [sys.executable, str(HERE / f"{name}.py"), str(video)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if done.returncode < 0:
        return done.returncode, f"killed by {signal.Signals(-done.returncode).name}"
    return done.returncode, done.stderr.rstrip().rpartition("\n")[2] or f"exit code {done.returncode}"


if __name__ == "__main__":
    with guard(then="exit"):
        main()
