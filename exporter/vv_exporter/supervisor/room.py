"""How `vv containers` and the self-monitor talk: files in `$VV_STATE_DIR/self-monitor`.

`view.json` is what the self-monitor sees. A file in `requests/` is what an operator wants; it vanishes when it is done,
which may be when the self-monitor is next started.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from vv_core import _shared
from vv_core._ids import uuid7_hex
from vv_exporter.rights import PRIVATE_FOLDER

log = logging.getLogger(__name__)


class Seen(msgspec.Struct, frozen=True):
    """One container in the self-monitor's view. `verdict` says in words how they stand to each other.

    `due` is when it will be restarted or given up (Unix seconds), 0 if it will not.
    """

    name: str
    state: str
    health: str
    in_window: int
    max: int
    gave_up: bool
    verdict: str
    due: float = 0.0


class View(msgspec.Struct, frozen=True):
    """What the self-monitor saw at `checked` (Unix seconds): `boottime` seconds after the device's start `boot`."""

    checked: float
    containers: tuple[Seen, ...]
    boot: str = ""
    boottime: float = 0.0

    def age(self, now: float, boot: str, boottime: float) -> float:
        """Seconds since it looked, however the clock was set meanwhile; one of a time to come is infinitely old."""
        if self.boot and self.boot == boot:
            return max(boottime - self.boottime, 0.0)
        return now - self.checked if self.checked <= now else math.inf


class Request(msgspec.Struct, frozen=True):
    """What an operator wants of the self-monitor."""

    action: Literal["resume", "forget"]
    name: str


class Room:
    """The folder. Methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._view = folder / "view.json"
        self._requests = folder / "requests"

    def show(self, view: View) -> None:
        """Replace the view."""
        _write(self._view, msgspec.json.encode(view))

    def view(self) -> View | None:
        """The latest view, None if there never was one."""
        try:
            return msgspec.json.decode(self._view.read_bytes(), type=View)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def ask(self, request: Request) -> Path:
        """Leave a request; its file is gone when it is done. For root and the self-monitor's own user."""
        _shared.make_folder(str(self._requests), PRIVATE_FOLDER)
        path = self._requests / f"{uuid7_hex()}.json"
        _write(path, msgspec.json.encode(request))
        return path

    def requests(self) -> Iterator[tuple[Path, Request]]:
        """What is wanted, the oldest first. The caller deletes what is done."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self._requests.glob("*.json")):
                try:
                    yield path, msgspec.json.decode(path.read_bytes(), type=Request)
                except msgspec.MsgspecError as error:
                    log.error("%s is no request: %s", path, error)
                    path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = _shared.open_file(str(temporary), os.O_WRONLY | os.O_TRUNC, _shared.READABLE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
