"""A real RTSP server for tests, with a real camera picture in H.264: GStreamer's.

with RtspServer(password="secret") as dvr:
    dvr.url()                       # rtsp://127.0.0.1:PORT/live
    dvr.freeze()                    # sessions stay, frames stay away
"""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import rtsp

_SERVER = Path(__file__).with_name("rtsp_server.py")


class RtspServer:
    """A process that can be stopped and started again on the same port. `method`: digest, basic, or "" for none."""

    def __init__(
        self, *, method: str = "digest", user: str = "viewer", password: str = "pass:w0rd", port: int = 0
    ) -> None:
        self.settings = {"method": method, "user": user, "password": password}
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it serves."""
        process = self._process = subprocess.Popen(
            [*rtsp.rtsp_command(), str(_SERVER)],
            env=rtsp.rtsp_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._order(json.dumps(self.settings | {"port": self.port})))
        assert process.poll() is None

    def stop(self) -> None:
        """End it at once, and all its connections."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        """No frame comes any more; sessions stay, and new ones are granted."""
        assert self._order("freeze") == "done"

    def thaw(self) -> None:
        """Frames come again."""
        assert self._order("thaw") == "done"

    def sessions(self) -> int:
        """How many viewers there are."""
        return int(self._order("sessions"))

    def url(self, path: str = "/live") -> str:
        """The address, without a password."""
        return f"rtsp://127.0.0.1:{self.port}{path}"

    def _order(self, order: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(order, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()
