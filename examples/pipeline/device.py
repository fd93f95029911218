"""Stands in for a device: what its cameras deliver, and what its cron starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Protocol

HERE = Path(__file__).parent


class Maker(Protocol):
    """Writes a video to a path."""

    def __call__(self, path: Path) -> None: ...


class Pipeline:
    """The scripts, run one after the other with this environment; its VIDEO_STORAGE_ROOT says where the videos are."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = dict(environ)
        self._numbers = count(1)
        self._worker = ThreadPoolExecutor(1)
        self._ending = Event()
        self._process: subprocess.Popen[bytes] | None = None

    def folder(self, name: str) -> Path:
        """A folder of the storage."""
        path = Path(self.environ["VIDEO_STORAGE_ROOT"]) / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def deliver(self, camera: str, make: Maker) -> str:
        """Put a new video into ``input/``, whole at once; returns its name."""
        name = f"{camera}-{next(self._numbers)}.mp4"
        part = self.folder("input") / f"{name}.part"
        make(part)
        part.rename(part.with_suffix(""))
        return name

    def run(self, script: str, *arguments: str) -> Future[None]:
        """Run a script when those before have ended."""
        return self._worker.submit(self._run, script, *arguments)

    def end(self) -> None:
        """Let nothing be left running, not even a stage that was stopped."""
        self._ending.set()
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._signal(number)
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(5)
        self._signal(signal.SIGKILL)

    def _run(self, script: str, *arguments: str) -> None:
        if not self._ending.is_set():
            command = [sys.executable, str(HERE / script), *arguments]
            self._process = subprocess.Popen(command, env=self.environ, process_group=0)
            with _ended_with_us(self._process.pid):
                self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


@contextlib.contextmanager
def _ended_with_us(group: int) -> Iterator[None]:
    """Should this process be killed, end the group all the same: a shell waits for the end of a pipe that we hold."""
    wait = ["sh", "-c", 'read -r _ || kill -s KILL -- "-$0"', str(group)]  # dash takes no `--` after `-KILL`
    keeper = subprocess.Popen(wait, stdin=subprocess.PIPE, start_new_session=True)
    yield
    keeper.communicate(b"\n")
