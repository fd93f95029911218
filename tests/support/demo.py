"""A running `vv up` or `vv up --demo`, as somebody starts it in a terminal.

with running(folder, "--demo") as demo:
    wait_until(lambda: demo.says("the tour is over"), TOUR)
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.ports import free_port

TOUR = 300
"""Seconds until the demo has shown all its faults, the start of the stack included."""
_OURS = ("VV_", "DOCKER_", "DISK_", "DVR_")


class Demo:
    """`vv up` with an option, if any, in a terminal session of its own; `environment` is added to ours.

    `ports` are those of exporter, Prometheus and Alertmanager; by default free ones.
    """

    def __init__(
        self, folder: Path, option: str = "", ports: tuple[int, int, int] | None = None, **environment: str
    ) -> None:
        self.state = folder / "state"
        self._output = folder / "output"
        self.ports = ports or tuple(free_port() for _ in range(3))
        names = ("VV_EXPORTER_PORT", "VV_PROMETHEUS_PORT", "VV_ALERTMANAGER_PORT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environ = kept | {name: str(port) for name, port in zip(names, self.ports, strict=True)} | environment
        command = [sys.executable, "-m", "vv_exporter", "up", option, "--state-dir", str(self.state)]
        folder.mkdir()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [part for part in command if part],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.environ,
            )

    @property
    def url(self) -> str:
        """The exporter's address."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def says(self, text: str) -> bool:
        """Whether it printed this; it must still run."""
        assert self.process.poll() is None, self.output()
        return text in self.output()

    def output(self) -> str:
        """What it printed."""
        return self._output.read_text()

    def log(self) -> str:
        """What stands in app.log."""
        return (self.state / "demo" / "logs" / "app.log").read_text()

    def vv(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as in another terminal."""
        command = [sys.executable, "-m", "vv_exporter", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)

    def end(self) -> list[psutil.Process]:
        """Press Ctrl-C; returns the processes that are left."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 0, self.output()
        return [child for child in children if _lives(child)]

    def kill(self) -> None:
        """Leave nothing running after a test that failed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                process.kill()


@contextlib.contextmanager
def running(
    folder: Path, option: str = "", ports: tuple[int, int, int] | None = None, **environment: str
) -> Iterator[Demo]:
    """It, for as long as it is needed."""
    demo = Demo(folder, option, ports, **environment)
    try:
        yield demo
        demo.end()
    finally:
        demo.kill()


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
