"""Job orchestrator: take each new video in ``input/`` through the stages.

    * * * * *  flock -n /run/lock/orchestrator orchestrator.py

Shows `job` around a script that cron runs. A video's trouble is not the job's: the stage that failed has reported it,
the job goes on with the next video and succeeds.
"""

import os
import signal
import subprocess
import sys
from logging import Logger
from pathlib import Path

from storage import VIDEOS, folder

from vv_core.jobs import job
from vv_core.logs import setup_logging

STAGES = ("scan_video.py", "summarize_scene.py", "logline_generator.py")
HERE = Path(__file__).parent


def main() -> int:
    """Take what is there."""
    log = setup_logging("orchestrator.py")
    try:
        with job("orchestrator", component="orchestrator.py"):
            for video in new_videos():
                take(video, log)
    except OSError as error:
        log.error("the videos' storage cannot be used: %s", error)
        return os.EX_IOERR
    except Exception:  # last resort
        log.exception("an error nobody expected")
        return os.EX_SOFTWARE
    return os.EX_OK


def new_videos() -> list[Path]:
    """The videos that wait, the oldest first."""
    waiting = [path for path in folder("input").iterdir() if path.suffix in VIDEOS]
    return sorted(waiting, key=lambda path: path.stat().st_mtime)


def take(video: Path, log: Logger) -> None:
    """Take a video through the stages; it ends in ``processed/``, in ``corrupted/``, or waits for the next run."""
    for script in STAGES:
        code = subprocess.run([sys.executable, HERE / script, video], check=False).returncode
        if code == os.EX_DATAERR:
            video.replace(folder("corrupted") / video.name)
            log.error("%s: %s cannot use it; moved to corrupted/", video.name, script)
            return
        if code:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            log.error("%s: %s %s; it is taken again at the next run", video.name, script, how)
            return
    video.replace(folder("processed") / video.name)
    log.info("%s: done", video.name)


if __name__ == "__main__":
    sys.exit(main())
