"""A recorder as people have them: ffmpeg in a loop of a shell, which writes a camera's files. It knows nothing of us.

with Recorder(server.url(), videos, "gate", seconds=60):
    ...
"""

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import rtsp

LOOP = """while :; do
  "$FFMPEG" -nostdin -loglevel error -rtsp_transport tcp -i "$URL" -c copy \\
    -f segment -segment_time "$SECONDS_OF_FILE" -reset_timestamps 1 -strftime 1 \\
    -segment_format mp4 -segment_format_options movflags=+frag_keyframe+empty_moov "$CAMERA"_%Y%m%dT%H%M%S.mp4
  sleep 1
done"""
"""What the shell runs; `FFMPEG`, `URL`, `CAMERA`, `SECONDS_OF_FILE` and `TZ` are its environment."""


def settings(ffmpeg: str, url: str, camera: str, seconds: float) -> dict[str, str]:
    """The environment of the loop."""
    return {"TZ": "UTC", "FFMPEG": ffmpeg, "URL": url, "CAMERA": camera, "SECONDS_OF_FILE": f"{seconds:g}"}


class Recorder:
    """Writes files of so many `seconds` into the folder, named by the camera and the UTC time of their beginning."""

    def __init__(self, url: str, folder: Path, camera: str, seconds: float) -> None:
        self._folder = folder
        self._env = {**rtsp.rtsp_environment(), **settings(rtsp.ffmpeg(), url, camera, seconds)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the loop."""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", LOOP], cwd=self._folder, env=self._env, start_new_session=True, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End the loop and its ffmpeg, as the kernel would."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
