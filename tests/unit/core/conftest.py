"""Each test has a state folder of its own, and a journal that has not been opened."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vv_core.common import environment, journals

Event = dict[str, Any]


class State:
    """The state folder, seen from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.log = folder / "logs" / "app.log"

    def files(self) -> list[Path]:
        """The journal's files, oldest first."""
        return sorted(self.journal.glob("*.jsonl"), key=lambda f: (f.name.split(".")[0], int(f.name.split(".")[1])))

    def lines(self) -> list[Event]:
        """Every line of the journal."""
        return [json.loads(line) for file in self.files() for line in file.read_bytes().splitlines()]

    def events(self, *types: str) -> list[Event]:
        """The events, of some types or all; without the writers' first lines."""
        return [e for e in self.lines() if (e["type"] in types if types else e["type"] != "writer")]

    def python(self, code: str, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Run a script that reports into this folder; the reader of its output is the caller."""
        env = {**os.environ, "VV_STATE_DIR": str(self.folder)} | options.pop("env", {})
        return subprocess.Popen([sys.executable, "-c", code, *args], env=env, text=True, **options)

    def run(self, code: str, *args: str, **options: Any) -> str:
        """Run such a script to its end, which must be a success; what it printed."""
        with self.python(code, *args, stdout=subprocess.PIPE, **options) as process:
            output = process.communicate(timeout=60)[0]
        assert process.returncode == 0
        return str(output)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    folder = tmp_path / "state"
    monkeypatch.setenv("VV_STATE_DIR", str(folder))
    for name in [name for name in os.environ if name.startswith(("VV_J", "VV_L", "VV_D", "MAX_PROCESSING"))]:
        monkeypatch.delenv(name)
    environment._complained.clear()
    journals.reset()
    yield State(folder)
    journals.reset()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """A folder `tmp_path/disk` that holds 256 KiB, and the options for a process that is to meet that limit.

    As root it is a file system of its own; else the process may write no larger files, which looks the same to it.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "vv-test", str(disk)], check=True)
        try:
            yield dict
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
    else:
        yield lambda: {"preexec_fn": _limit_files}


def _limit_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 << 10, resource.RLIM_INFINITY))
